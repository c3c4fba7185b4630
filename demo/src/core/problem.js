/** What a person who uses the page can do something about; its message is shown on the page. */
export class Problem extends Error {}

/**
 * Return a text of a file as it may be shown: short, and without characters that hide or turn others.
 * @param {unknown} text
 * @param {number} [most] characters
 */
export function shown(text, most = 60) {
  const plain = String(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, "\u{FFFD}");
  return plain.length > most ? `${plain.slice(0, most - 1)}…` : plain;
}

/**
 * Return a number with its noun.
 * @param {number} number
 * @param {string} noun
 */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : noun.endsWith("s") ? "es" : "s"}`;
}
