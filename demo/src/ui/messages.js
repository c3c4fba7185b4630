// What the page tells: problems and notes, which stay until they are closed, and news, which screen readers hear.

import { Problem } from "../core/problem.js";
import { byId, write } from "./dom.js";

const QUIET_MS = 1500; // between two news

let [told, pending] = [0, null];

/** Show a problem; one that is a defect of the page says so. @param {any} error */
export function showProblem(error) {
  const isExpected = error instanceof Problem;
  clearNote(); // it is of something before
  if (!isExpected) console.error(error);
  const text = isExpected
    ? error.message
    : `The page has a defect: ${error?.message ?? error}. What you had is still here.`;
  byId("problem").hidden = false;
  write(byId("problem-text"), text);
}

/** Close the problem that is shown. */
export function clearProblem() {
  byId("problem").hidden = true;
  write(byId("problem-text"), "");
}

/** Note something that is no problem; it stays until it is closed, or until the next file. @param {string} text */
export function note(text) {
  byId("note").hidden = false;
  write(byId("note-text"), text);
}

/** Close the note that is shown. */
export function clearNote() {
  byId("note").hidden = true;
  write(byId("note-text"), "");
}

/** Tell screen readers something, the last of what comes at once. @param {string} text */
export function tell(text) {
  clearTimeout(pending);
  const wait = Math.max(0, told + QUIET_MS - performance.now());
  pending = setTimeout(() => {
    told = performance.now();
    write(byId("news"), text);
  }, wait);
}

/**
 * Return a function that shows what goes wrong in another one, and goes on.
 * @template {any[]} Given
 * @param {(...given: Given) => any} act
 */
export function guarded(act) {
  return async (...given) => {
    try {
      return await act(...given);
    } catch (error) {
      showProblem(error);
      return undefined;
    }
  };
}

/** Show every problem that nothing else has shown. */
export function listenForProblems() {
  listenForClosing("problem", clearProblem);
  listenForClosing("note", clearNote);
  window.addEventListener("error", (event) => showProblem(event.error ?? event.message));
  window.addEventListener("unhandledrejection", (event) => showProblem(event.reason));
}

/** Close a message with its button; the focus returns to where it was before. */
function listenForClosing(id, close) {
  let before = null;
  byId(id).addEventListener("focusin", ({ relatedTarget }) => (before = relatedTarget ?? before));
  byId(`${id}-close`).addEventListener("click", () => {
    close();
    if (before?.isConnected) before.focus({ preventScroll: true });
    before = null;
  });
}
