// Joints as nested lists: [bodies][frames][joints][coordinates], or of one body; null is what is missing.

import { Problem } from "../core/problem.js";
import { recordingOf } from "../core/recording.js";

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
  const shape = [];
  let level = [value];
  for (let axis = 0; axis < depth; axis++) {
    const lists = level.filter(Array.isArray);
    const length = lists[0]?.length ?? 0;
    if (lists.some((list) => list.length !== length))
      throw new Problem("The lists of a recording differ in their lengths.");
    if (level.some((list) => list !== null && !Array.isArray(list)))
      throw new Problem("A recording should be lists of numbers.");
    shape.push(length);
    level = level.flatMap((list) => list ?? new Array(length).fill(null));
  }
  if (level.some((number) => number !== null && typeof number !== "number"))
    throw new Problem("A coordinate is not a number.");
  return { shape, values: Float32Array.from(level, (number) => number ?? NaN) };
}
