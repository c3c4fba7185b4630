// Acts as a reader of a page with a player, and writes what it found into the page.
const root = document.querySelector(".last-player"), found = {};
const press = (key, more = {}) => root.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, ...more}));
const time = () => root.querySelector(".lp-time").textContent;
const pixels = () => root.querySelector("canvas").toDataURL();
found.legend = root.querySelector(".lp-legend").innerText;
press(" "); press("Home"); found.first = time();
press("ArrowRight"); found.second = time();
press("ArrowLeft"); press("ArrowLeft"); found.last = time();
press("Home"); const before = pixels();
press("ArrowLeft", {shiftKey: true}); found.turned = pixels() !== before;
root.querySelector(".lp-options > button").click(); found.reset = pixels() === before;
press("+"); found.zoomed = pixels() !== before; root.querySelector(".lp-options > button").click();
root.querySelector("input[type=checkbox]").click(); found.opaque = pixels() !== before;
const search = root.querySelector("input[type=search]");
search.value = "WAVE"; search.dispatchEvent(new Event("input"));
const items = [...root.querySelectorAll("li")];
found.matches = items.filter((item) => !item.hidden).map((item) => item.querySelector(".lp-name").textContent);
found.drawn = items.map((item) => { item.firstChild.click(); return Number(root.dataset.drawn); });
const help = () => root.querySelector(".lp-help").textContent;
items[0].firstChild.click(); found.turns = [help().includes("turn")];
items[2].firstChild.click(); found.turns.push(help().includes("turn")); // in a picture nothing can be turned
items[3].firstChild.click(); found.canvases = root.querySelectorAll("canvas").length;
const choose = (name) => items.find((item) => item.textContent.startsWith(name)).firstChild.click();
const middle = (colour) => {
  const canvas = root.querySelector("canvas");
  const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const places = [[], []];
  for (let at = 0; at < image.length; at += 4) {
    if (colour.every((value, index) => image[at + index] === value)) {
      places[0].push((at / 4) % canvas.width);
      places[1].push(Math.floor(at / 4 / canvas.width));
    }
  }
  return places.map((each) => each.reduce((sum, value) => sum + value, 0) / each.length);
};
choose("facing");
found.left = middle([42, 120, 214]); found.rightSide = middle([226, 87, 76]);
choose("near and far");
const near = [60, 66, 80];
const moved = (act) => {
  const start = middle(near);
  act();
  const end = middle(near);
  return [end[0] - start[0], end[1] - start[1]];
};
found.right = moved(() => press("ArrowRight", {shiftKey: true}));
found.down = moved(() => press("ArrowDown", {shiftKey: true}));
HTMLCanvasElement.prototype.setPointerCapture = () => {}; // a synthetic pointer cannot be captured
const canvas = root.querySelector("canvas");
const pointer = (kind, id, clientX, clientY) => canvas.dispatchEvent(new PointerEvent(kind, {pointerId: id, clientX, clientY}));
found.dragged = moved(() => {
  pointer("pointerdown", 1, 100, 100);
  pointer("pointermove", 1, 120, 120);
  pointer("pointerup", 1, 120, 120);
});
const small = pixels();
pointer("pointerdown", 1, 100, 100); pointer("pointerdown", 2, 110, 100); pointer("pointermove", 2, 120, 100);
pointer("pointerup", 1, 0, 0); pointer("pointerup", 2, 0, 0);
const pinched = pixels();
found.pinched = pinched !== small;
canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: 100, cancelable: true}));
found.wheeled = pixels() !== pinched;
const result = document.createElement("pre");
result.id = "found"; result.textContent = JSON.stringify(found);
document.body.append(result);
