// JSON from files.

import { Problem, shown } from "./problem.js";

/** Return the content of a JSON text, in which Python may have written NaN. @param {Uint8Array} bytes */
export function parse(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("It is not JSON: the text is not UTF-8.");
  }
  try {
    return JSON.parse(text.includes("NaN") ? text.replace(/\bNaN\b/g, "null") : text);
  } catch (error) {
    throw new Problem(`It is not JSON: ${shown(error.message, 100)}.`);
  }
}
