// Recordings: the joints of some bodies over time, and how they fit a layout.
// Legend: M bodies, T frames, V joints, C coordinates.

import { counted, Problem, shown } from "./problem.js";

export const FARTHEST = 1e6;
export const DEFAULT_FPS = 30;
const MOST_VALUES = 1 << 28; // of an array, 1 GiB
const MOST_JOINTS = 1000; // of a body
const MOST_DRAWN = 20_000; // joints of all bodies, in one picture

/**
 * @typedef {object} Recording
 * @property {string} name
 * @property {number} bodies M
 * @property {number} frames T
 * @property {number} joints V
 * @property {number} coordinates C
 * @property {Float32Array} data (M, T, V, C), NaN where a joint is missing
 * @property {Float32Array | null} confidence (M, T, V) from 0 to 1
 * @property {number} fps 0 if unknown
 * @property {string} layout its name, empty if unknown
 * @property {boolean} hasMore whether the file has people who were left out
 */

/** Return an array of NaN. @param {number} count */
export function emptyValues(count) {
  if (count > MOST_VALUES)
    throw new Problem(`The recording would have ${count.toLocaleString("en")} numbers, too many for this page.`);
  return new Float32Array(count).fill(NaN);
}

/**
 * Make a recording; a body that is zero or NaN in a frame is absent from it, and a joint that lacks a coordinate missing.
 * @param {Partial<Recording> & {name: string, bodies: number, frames: number, joints: number, coordinates: number,
 *   data: Float32Array}} values
 * @returns {Recording}
 */
export function recordingOf(values) {
  const { data, joints, coordinates } = values;
  refuseMany(values);
  const size = joints * coordinates;
  let anyone = false;
  for (let start = 0; start < data.length; start += size) {
    if (isAbsent(data, start, size)) {
      data.fill(NaN, start, start + size);
      continue;
    }
    anyone = true;
    completeJoints(data, start, size, coordinates);
  }
  if (!anyone) throw new Problem("No body is present in any frame of this recording: there is nothing to show.");
  return { confidence: null, fps: 0, layout: "", hasMore: false, ...values };
}

/** Refuse what cannot be drawn in the time of a picture. @param {{bodies: number, joints: number}} values */
function refuseMany({ bodies, joints }) {
  const [found, most] = joints > MOST_JOINTS ? [joints, MOST_JOINTS] : [bodies * joints, MOST_DRAWN];
  if (found <= most) return;
  const where = joints > MOST_JOINTS ? "a body" : `the ${bodies.toLocaleString("en")} bodies of a frame`;
  throw new Problem(
    `It has ${counted(found, "joint")} in ${where}; at most ${most.toLocaleString("en")} can be shown. Are two axes ` +
      "exchanged? An array is (frames, joints, coordinates) or (bodies, frames, joints, coordinates).",
  );
}

function isAbsent(data, start, size) {
  for (let at = start; at < start + size; at++) if (data[at] !== 0 && !Number.isNaN(data[at])) return false;
  return true;
}

function completeJoints(data, start, size, coordinates) {
  for (let joint = start; joint < start + size; joint += coordinates) {
    let sum = 0;
    for (let axis = 0; axis < coordinates; axis++) {
      const value = data[joint + axis];
      if (Math.abs(value) > FARTHEST) throw new Problem(`A joint is at ${value}; coordinates are up to ${FARTHEST}.`);
      sum += value;
    }
    if (Number.isNaN(sum)) data.fill(NaN, joint, joint + coordinates);
  }
}

/** Return the joints (V, C) of a body in a frame, without copying. @param {Recording} recording */
export function bodyAt(recording, body, frame) {
  const size = recording.joints * recording.coordinates;
  const start = (body * recording.frames + frame) * size;
  return recording.data.subarray(start, start + size);
}

/** Return whether a body (V, C) has any joint. @param {Float32Array} joints */
export function isPresent(joints) {
  return joints.some((value) => !Number.isNaN(value));
}

/** Return the frame rate, or a usual one where it is unknown. @param {{fps: number}} recording */
export function rateOf(recording) {
  return recording.fps || DEFAULT_FPS;
}

/**
 * Return a recording in the layout of a model.
 * @param {Recording} recording
 * @param {import("./layouts.js").Layout} layout of the model
 * @param {import("./layouts.js").Layouts} layouts
 * @param {[string, string]} [words] how a problem names it and what is done with it
 * @returns {{recording: Recording, mappedFrom: string}} `mappedFrom` is empty if nothing was mapped
 */
export function fitted(recording, layout, layouts, words = ["The recording has", "It is played"]) {
  const same = recording.joints === layout.joints.length && recording.coordinates === layout.coordinates;
  if (same && (!recording.layout || recording.layout === layout.name)) {
    return { recording: { ...recording, layout: layout.name }, mappedFrom: "" };
  }
  const sources = recording.layout
    ? [recording.layout]
    : layouts.ofSize(recording.joints, recording.coordinates).map(({ name }) => name);
  const mappable = sources.filter((name) => layouts.map(name, layout.name));
  if (mappable.length === 1) {
    return { recording: mapped(recording, layout, layouts.map(mappable[0], layout.name)), mappedFrom: mappable[0] };
  }
  if (same) return { recording, mappedFrom: "" };
  throw new Problem(mismatch(recording, layout, words));
}

function mismatch(recording, layout, [has, played]) {
  const named = recording.layout ? `, the layout ${shown(recording.layout)}` : "";
  return (
    `${has} ${counted(recording.joints, "joint")} with ${recording.coordinates} coordinates${named}; the model takes ` +
    `${layout.joints.length} with ${layout.coordinates}, the layout ${layout.name}. ${played}, but not recognised: ` +
    "open a model that was trained on this layout, or teach one below."
  );
}

/** @param {Recording} recording @param {import("./layouts.js").Layout} layout @param {number[][]} origins */
function mapped(recording, layout, origins) {
  const { bodies, frames, coordinates } = recording;
  const bodyFrames = bodies * frames;
  const target = { ...recording, joints: origins.length, layout: layout.name };
  target.data = emptyValues(bodyFrames * origins.length * coordinates);
  target.confidence = recording.confidence && emptyValues(bodyFrames * origins.length);
  for (let place = 0; place < bodyFrames; place++)
    for (let joint = 0; joint < origins.length; joint++) blend(recording, target, place, joint, origins[joint]);
  return target;
}

/** Make a joint of the target from the mean of the measured ones of its origins, and from their least confidence. */
function blend(recording, target, place, joint, origin) {
  const { data, confidence, coordinates, joints } = recording;
  const at = place * target.joints + joint;
  let measured = 0;
  for (const each of origin) {
    const from = place * joints + each;
    if (Number.isNaN(data[from * coordinates])) continue;
    measured += 1;
    for (let axis = 0; axis < coordinates; axis++) {
      const sum = measured > 1 ? target.data[at * coordinates + axis] : 0;
      target.data[at * coordinates + axis] = sum + data[from * coordinates + axis];
    }
    if (confidence)
      target.confidence[at] = Math.min(measured > 1 ? target.confidence[at] : 1, confidence[from]);
  }
  if (measured > 1)
    for (let axis = 0; axis < coordinates; axis++) target.data[at * coordinates + axis] /= measured;
}

/**
 * Return a recording without the joints below a confidence.
 * @param {Recording} recording
 * @param {number} lowest
 * @returns {Recording}
 */
export function confident(recording, lowest) {
  const { confidence, coordinates } = recording;
  if (!confidence || !lowest) return recording;
  const data = recording.data.slice();
  for (let joint = 0; joint < confidence.length; joint++) {
    if (!(confidence[joint] >= lowest)) data.fill(NaN, joint * coordinates, (joint + 1) * coordinates);
  }
  return { ...recording, data };
}

/**
 * Return what an exported file takes for a whole recording: the first bodies that are present.
 * @param {Recording} recording
 * @param {number} bodies of the model
 * @returns {{data: Float32Array, dims: number[]}}
 */
export function inputOf(recording, bodies) {
  const size = recording.frames * recording.joints * recording.coordinates;
  const data = new Float32Array(bodies * size).fill(NaN);
  let placed = 0;
  for (let body = 0; body < recording.bodies && placed < bodies; body++) {
    const values = recording.data.subarray(body * size, (body + 1) * size);
    if (isPresent(values)) data.set(values, size * placed++);
  }
  return { data, dims: [1, bodies, recording.frames, recording.joints, recording.coordinates] };
}
