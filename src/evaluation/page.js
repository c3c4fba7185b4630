// Tables that are sorted by a click on a heading, and searched by a field above them.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const upwards = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", upwards ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const compared = (one, other) => {
        const [first, second] = [value(one), value(other)];
        if (first === "" || second === "") return (first === "") - (second === ""); // what is unknown comes last
        const order =
          isNaN(first) || isNaN(second) ? first.localeCompare(second, undefined, { numeric: true }) : first - second;
        return upwards ? order : -order;
      };
      body.append(...[...body.rows].sort(compared));
    });
  });
  const field = document.getElementById(table.dataset.search ?? "");
  field?.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}

// The confusion matrix. Its cells are a list of [true class, predicted class, clips], without the empty ones.
const matrix = document.getElementById("matrix");
if (matrix) {
  const MOST = 150; // classes drawn at once
  const { names, clips, cells, orders } = JSON.parse(document.getElementById("matrix-data").textContent);
  const [order, search, told] = ["matrix-order", "matrix-search", "matrix-told"].map((id) => document.getElementById(id));
  const svg = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  /** Return a name without its middle if it is long: names of one kind often differ at their ends. */
  const shortened = (text, length) => {
    const kept = Math.ceil((length - 1) / 2);
    return text.length > length ? `${text.slice(0, kept)}…${text.slice(kept + 1 - length)}` : text;
  };
  const percent = (count, all) => `${((100 * count) / all).toFixed(1)} %`;

  /** Return the classes to draw: those whose name has the searched text, and those that they are confused with. */
  const chosen = () => {
    const wanted = search.value.trim().toLowerCase();
    let found = orders[order.value];
    if (wanted) {
      const hits = new Set(found.filter((index) => names[index].toLowerCase().includes(wanted)));
      const near = new Set(hits);
      for (const [truth, predicted] of cells) {
        if (hits.has(truth)) near.add(predicted);
        if (hits.has(predicted)) near.add(truth);
      }
      found = found.filter((index) => near.has(index));
    }
    return found.slice(0, MOST);
  };

  const draw = () => {
    const shown = chosen();
    const place = new Map(shown.map((index, number) => [index, number]));
    const letters = matrix.clientWidth < 500 ? 12 : 22;
    const left = 10 + 7.5 * Math.min(letters, Math.max(...shown.map((index) => names[index].length), 1));
    const size = Math.max(9, Math.min(38, Math.floor((matrix.clientWidth - left - 4) / Math.max(shown.length, 1))));
    const labelled = size >= 12;
    const top = labelled ? left : 8;
    const width = left + size * shown.length + 4;
    const height = top + size * shown.length + 4;
    const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    drawing.setAttribute("aria-label", `Confusion matrix of ${shown.length} classes; rows are true, columns predicted`);
    drawing.append(svg("rect", { class: "empty", x: left, y: top, width: size * shown.length, height: size * shown.length }));
    shown.forEach((index, number) => {
      const middle = number * size + size / 2;
      if (!labelled && number % Math.ceil(12 / size)) return;
      drawing.append(
        svg("text", { class: "name", x: left - 6, y: top + middle + 4, "text-anchor": "end" }, shortened(names[index], letters)),
      );
      if (!labelled) return;
      const [x, y] = [left + middle + 4, top - 6];
      drawing.append(svg("text", { class: "name", x, y, transform: `rotate(-90 ${x} ${y})` }, shortened(names[index], letters)));
    });
    for (const [truth, predicted, count] of cells) {
      const [row, column] = [place.get(truth), place.get(predicted)];
      if (row === undefined || column === undefined) continue;
      const share = count / clips[truth];
      const [x, y] = [left + column * size, top + row * size];
      const kind = truth === predicted ? "right" : "wrong";
      const opacity = (0.14 + 0.86 * Math.sqrt(share)).toFixed(2);
      drawing.append(svg("rect", { class: kind, x, y, width: size - 1, height: size - 1, "fill-opacity": opacity }));
      if (size >= 24) drawing.append(svg("text", { class: "count", x: x + size / 2, y: y + size / 2 + 4 }, count));
    }
    const picked = svg("rect", { class: "picked", width: size - 1, height: size - 1, visibility: "hidden" });
    drawing.append(picked);
    const tell = (event) => {
      const box = drawing.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left - left) / size);
      const row = Math.floor((event.clientY - box.top - top) / size);
      if (!(row in shown) || !(column in shown)) return;
      const [truth, predicted] = [shown[row], shown[column]];
      const count = cells.find((cell) => cell[0] === truth && cell[1] === predicted)?.[2] ?? 0;
      const share = clips[truth] ? ` of ${clips[truth]} (${percent(count, clips[truth])})` : "";
      const what = truth === predicted ? "recognised" : `taken for ${names[predicted]}`;
      told.textContent = `${names[truth]}, ${what}: ${count}${share}`;
      picked.setAttribute("x", left + column * size);
      picked.setAttribute("y", top + row * size);
      picked.setAttribute("visibility", "visible");
    };
    drawing.addEventListener("pointermove", tell);
    drawing.addEventListener("click", tell);
    matrix.replaceChildren(drawing);
    const all = orders[order.value].length;
    told.textContent =
      shown.length < all ? `${shown.length} of ${all} classes are drawn.` : "Point at a cell to read its numbers.";
    matrix.dataset.drawn = shown.length;
  };
  order.addEventListener("change", draw);
  search.addEventListener("input", draw);
  addEventListener("resize", draw);
  draw();
}
