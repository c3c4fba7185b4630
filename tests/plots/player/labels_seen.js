// Tells which labels a reader of a page sees at each frame, and writes them into the page.
const root = document.querySelector(".last-player");
const text = (row) => [...row.querySelectorAll("span")].map((part) => part.textContent).join(" ");
const rows = () => [...root.querySelectorAll(".lp-label")].filter((row) => !row.hidden).map((row) => text(row).trim());
const found = [];
for (let frame = 0; frame < 4; frame++) {
  found.push(rows());
  root.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
}
const result = document.createElement("pre");
result.id = "found"; result.textContent = JSON.stringify(found);
document.body.append(result);
