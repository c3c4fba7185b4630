// Reads recordings in a thread of its own, so that the page stays fluent.

import { Problem } from "../core/problem.js";
import { readFiles } from "./index.js";

self.onmessage = async ({ data: files }) => {
  try {
    const recording = await readFiles(files);
    const arrays = [recording.data, recording.confidence].filter(Boolean);
    self.postMessage({ recording }, /** @type {any} */ (arrays.map(({ buffer }) => buffer)));
  } catch (error) {
    self.postMessage(error instanceof Problem ? { problem: error.message } : { defect: String(error?.stack ?? error) });
  }
};
