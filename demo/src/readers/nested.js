// Joints as nested lists: [bodies][frames][joints][coordinates], or of one body; null is what is missing.

import { Problem } from "../core/problem.js";
import { emptyValues, recordingOf } from "../core/recording.js";

const DEEPEST = 5;

/** Return the depth of nested lists, by their first entries that are not null, at most 5. @param {any} value */
function depthOf(value) {
  let depth = 0;
  for (let inner = value; Array.isArray(inner) && depth < DEEPEST; depth++) inner = inner.find((each) => each !== null);
  return depth;
}

/** Return whether a content looks like nested lists, or an object with `joints`. @param {any} content */
export function isNested(content) {
  return [3, 4].includes(depthOf(Array.isArray(content) ? content : content?.joints));
}

/**
 * Return the recording in a content.
 * @param {string} name
 * @param {any} content lists, or an object with `joints`, and perhaps `fps`, `layout` and `confidence`
 */
export function readNested(name, content) {
  const outer = Array.isArray(content) ? { joints: content } : content;
  const isOne = depthOf(outer.joints) === 3;
  const { shape, values } = flat(isOne ? [outer.joints] : outer.joints, 4);
  const [bodies, frames, joints, coordinates] = shape;
  if (coordinates < 2 || coordinates > 3)
    throw new Problem(`A joint has ${coordinates} coordinates; it should have 2 or 3.`);
  const confidence = outer.confidence ? flat(isOne ? [outer.confidence] : outer.confidence, 3).values : null;
  if (confidence && confidence.length !== bodies * frames * joints) {
    throw new Problem("`confidence` should have a number for each joint in each frame of each body.");
  }
  const fps = outer.fps > 0 && outer.fps <= 1000 ? Number(outer.fps) : 0;
  return recordingOf({
    name,
    bodies,
    frames,
    joints,
    coordinates,
    data: values,
    confidence,
    fps,
    layout: String(outer.layout ?? ""),
  });
}

/** Return nested lists as one array with its shape; a null in the place of a list is as many as the others have. */
function flat(value, depth) {
  const shape = Array.from({ length: depth }, (_, axis) => firstList(value, axis)?.length ?? 0);
  const values = emptyValues(shape.reduce((product, length) => product * length, 1));
  fill(values, value, 0, shape, 0);
  return { shape, values };
}

/** Return the first list at a depth; null if there is none. */
function firstList(value, depth) {
  if (!Array.isArray(value) || depth === 0) return Array.isArray(value) ? value : null;
  for (const each of value) {
    const found = firstList(each, depth - 1);
    if (found) return found;
  }
  return null;
}

/** Write lists into the values from a place on; return the place behind them. */
function fill(values, list, axis, shape, place) {
  if (list !== null && !Array.isArray(list)) throw new Problem("A recording should be lists of numbers.");
  if (list && list.length !== shape[axis]) throw new Problem("The lists of a recording differ in their lengths.");
  if (axis < shape.length - 1) {
    for (let at = 0; at < shape[axis]; at++) place = fill(values, list && list[at], axis + 1, shape, place);
    return place;
  }
  for (let at = 0; list && at < list.length; at++) {
    const number = list[at];
    if (number !== null && typeof number !== "number") throw new Problem("A coordinate is not a number.");
    values[place + at] = number ?? NaN;
  }
  return place + shape[axis];
}
