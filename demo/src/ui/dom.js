// Elements of the page.

/** Return the element with an id. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element.
 * @param {string} kind
 * @param {Record<string, any>} [attributes] also `text`, and `onclick` and such
 * @param {...(Node | string)} children
 */
export function element(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Set the text of an element if it is another one, so that screen readers hear of changes only. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Return a probability as a text. @param {number} share */
export const percent = (share) => `${(100 * share).toFixed(0)} %`;

/** Return a time as a text. @param {number} seconds */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}` : `${seconds.toFixed(1)}`;
}

/** Offer bytes as a download. @param {string} name @param {Uint8Array} bytes @param {string} type */
export function download(name, bytes, type) {
  const address = URL.createObjectURL(new Blob([bytes], { type }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
