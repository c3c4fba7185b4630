// The description of a model, as `export` writes it beside the file: whether this page can run it.

import { Problem, shown } from "../core/problem.js";

export const FORMAT = "last-recognizer";
export const FORMAT_VERSION = 2;
const AGAIN = "Export the checkpoint again: python -m last export --checkpoint latest --out model.onnx";

/**
 * Return a description that this page can use.
 * @param {any} facts the content of the .json
 * @returns {any}
 */
export function checkedFacts(facts) {
  if (facts?.format !== FORMAT) {
    throw new Problem(
      "The .json is not the description of a model that LAST exported. Choose the .json beside the .onnx file.",
    );
  }
  if (facts.format_version !== FORMAT_VERSION) {
    throw new Problem(
      `The model has version ${shown(facts.format_version, 10)} of the format; this page runs version ` +
        `${FORMAT_VERSION}. ${AGAIN}`,
    );
  }
  const { classes, layout, input, exported } = facts;
  const areNames = Array.isArray(classes) && classes.length > 0 && classes.every((name) => typeof name === "string");
  const isLayout =
    Array.isArray(layout?.joints) &&
    Array.isArray(layout.bones) &&
    Array.isArray(layout.mirror) &&
    [2, 3].includes(layout.coordinates);
  const isInput =
    Array.isArray(input?.shape) && input.shape[3] === layout?.joints?.length && input.shape[4] === layout.coordinates;
  if (!areNames || !isLayout || !isInput || ![1, 2].includes(input.shape[1]) || !Array.isArray(exported)) {
    throw new Problem(`The description of the model is damaged. ${AGAIN}`);
  }
  return facts;
}

/**
 * Refuse a file that is not the one of its description. Browsers offer the checksum to pages from https or localhost only.
 * @param {Uint8Array} bytes of the .onnx
 * @param {any} facts
 */
export async function refuseOther(bytes, facts) {
  if (!globalThis.crypto?.subtle) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const checksum = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (!facts.exported.some(({ files }) => Object.values(files ?? {}).includes(checksum))) {
    throw new Problem("The .onnx and the .json are not of the same export, or one was changed. Copy both again.");
  }
}
