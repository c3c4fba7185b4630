// Pointers and the wheel on a canvas with a skeleton, for the player and the page of `demo/`: a pointer turns it, two zoom.

// Calls `turn(right, down)` in degrees and `zoom(factor)`. The wheel zooms where `takesWheel()`, else the page scrolls.
function listenForGestures(canvas, { turn, zoom, takesWheel }) {
  const pointers = new Map();
  const spread = () => {
    const [first, second] = [...pointers.values()];
    return second ? Math.hypot(first.clientX - second.clientX, first.clientY - second.clientY) : 0;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const apart = spread();
    pointers.set(event.pointerId, event);
    if (pointers.size > 1 && apart) zoom(spread() / apart);
    else turn((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    if (!takesWheel()) return;
    event.preventDefault();
    zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 500));
  }, { passive: false });
}
