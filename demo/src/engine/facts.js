// The description of a model, as `export` writes it beside the file: whether this page can run it.

import { Problem, shown } from "../core/problem.js";

export const FORMAT = "last-recognizer";
export const FORMAT_VERSION = 2;
const MOST_CLASSES = 10_000;
const MOST_JOINTS = 1000;
const FASTEST = 1000; // frames per second
const AGAIN = "Export the checkpoint again: python -m last export --checkpoint latest --out model.onnx";

const areTexts = (values) =>
  Array.isArray(values) && values.length > 0 && values.every((each) => typeof each === "string");

function areClasses({ classes, outputs }) {
  return areTexts(classes) && classes.length <= MOST_CLASSES && outputs?.probabilities?.[1] === classes.length;
}

function isInput({ input, layout }) {
  const shape = input?.shape;
  return (
    Array.isArray(shape) &&
    [1, 2].includes(shape[1]) &&
    shape[3] === layout.joints.length &&
    shape[4] === layout.coordinates
  );
}

function isLayout(layout) {
  if (!areTexts(layout?.joints) || layout.joints.length > MOST_JOINTS || typeof layout.name !== "string") return false;
  const isJoint = (joint) => Number.isInteger(joint) && joint >= 0 && joint < layout.joints.length;
  const isPair = (pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isJoint);
  const arePairs = [layout.bones, layout.mirror].every((pairs) => Array.isArray(pairs) && pairs.every(isPair));
  return arePairs && isJoint(layout.center) && [2, 3].includes(layout.coordinates);
}

function isRate(rate) {
  return rate === undefined || (typeof rate === "number" && rate >= 0 && rate <= FASTEST);
}

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
  const isWhole = isRate(facts.frame_rate) && areClasses(facts) && isLayout(facts.layout) && isInput(facts);
  if (!isWhole || !Array.isArray(facts.exported)) {
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
