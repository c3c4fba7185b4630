// Tells what a reader of a page sees of the marks of each clip, and writes it into the page.
const root = document.querySelector(".last-player");
const time = () => root.querySelector(".lp-time").textContent;
const rings = () => {
  const canvas = root.querySelector("canvas");
  const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const mark = window.matchMedia("(prefers-color-scheme: dark)").matches ? [255, 134, 221] : [179, 18, 138];
  for (let at = 0; at < image.length; at += 4) if (mark.every((value, index) => image[at + index] === value)) return true;
  return false;
};
const found = { clips: [] };
for (const item of root.querySelectorAll("li")) {
  item.firstChild.click();
  found.clips.push({ time: time(), rings: rings(), stretch: !root.querySelector(".lp-stretch").hidden });
}
root.querySelector("li").firstChild.click();
root.dispatchEvent(new KeyboardEvent("keydown", { key: "End", bubbles: true }));
found.outside = rings();
root.querySelector('button[aria-label="Show the first marked frame"]').click();
found.returned = time();
const canvas = root.querySelector("canvas");
const takesWheel = () => {
  const event = new WheelEvent("wheel", { deltaY: 100, cancelable: true });
  canvas.dispatchEvent(event);
  return event.defaultPrevented;
};
found.wheel = [takesWheel()];
canvas.focus();
found.wheel.push(takesWheel());
const result = document.createElement("pre");
result.id = "found"; result.textContent = JSON.stringify(found);
document.body.append(result);
