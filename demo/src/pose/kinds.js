// Which kind of pose model a file is, by the shapes of its outputs; and what its outputs say.
// Legend: V joints, N candidates.

import { Problem, shown } from "../core/problem.js";

const SIMCC_SPLIT = 2; // bins of a pixel
const BOX = 5; // x, y, width, height and score of a candidate of YOLO-pose
const BOX_WITH_CLASS = 6; // two corners, score and class, of a candidate without overlaps
const LEAST_SCORE = 0.35;
const LARGEST_OVERLAP = 0.6;
const LARGEST_SIDE = 2048;
const FEWEST_JOINTS = 5;
const MOST_JOINTS = 150;
export const MOST_PEOPLE = 10;

/**
 * @typedef {object} PoseKind
 * @property {"simcc" | "yolo" | "yolo_end"} kind
 * @property {string} input
 * @property {string[]} outputs
 * @property {number} joints V
 * @property {number} width of the input in pixels
 * @property {number} height
 */

/** @typedef {{points: Float32Array, confidence: Float32Array, score: number}} Pose points are (V, 2) in pixels of the input */

const sizes = (shape) => (shape ?? []).map((each) => (typeof each === "number" && each > 0 ? each : 0));

/**
 * Return the kind of a pose model.
 * @param {{inputs: any[], outputs: any[]}} about names and shapes
 * @returns {PoseKind}
 */
export function kindOf({ inputs, outputs }) {
  const [image] = inputs;
  const [, channels, height, width] = sizes(image?.shape);
  if (inputs.length !== 1 || sizes(image.shape).length !== 4 || ![0, 3].includes(channels))
    throw new Problem(unfit(inputs, outputs));
  const input = { input: image.name, height: side(height), width: side(width) };
  const simcc = ["simcc_x", "simcc_y"].map((name) => outputs.find((each) => each.name === name));
  const pair = simcc.every(Boolean) ? simcc : outputs.length === 2 ? outputs : [];
  if (pair.length && pair.every(({ shape }) => shape.length === 3)) return simccKind(pair, input, inputs, outputs);
  const shape = sizes(outputs[0]?.shape);
  if (outputs.length === 1 && shape.length === 3) return yoloKind(outputs[0].name, shape, input, inputs, outputs);
  throw new Problem(unfit(inputs, outputs));
}

/** Return the side of an input, 0 if the model takes any. */
function side(pixels) {
  if (pixels > LARGEST_SIDE)
    throw new Problem(`The pose model takes pictures of ${pixels} pixels, too many for this page.`);
  return pixels;
}

function simccKind(pair, input, inputs, outputs) {
  const [[, joints, across], [, others, down]] = pair.map(({ shape }) => sizes(shape));
  if (!joints || joints !== others) throw new Problem(unfit(inputs, outputs));
  const width = input.width || Math.round((across || 384) / SIMCC_SPLIT);
  const height = input.height || Math.round((down || 512) / SIMCC_SPLIT);
  return { ...input, kind: "simcc", outputs: pair.map(({ name }) => name), joints, width, height };
}

function yoloKind(name, [, rows, columns], input, inputs, outputs) {
  const size = { width: input.width || 640, height: input.height || 640 };
  const joints = (rows - BOX) / 3;
  if (isCount(joints) && (columns === 0 || columns > rows))
    return { ...input, ...size, kind: "yolo", outputs: [name], joints };
  const others = (columns - BOX_WITH_CLASS) / 3;
  if (isCount(others)) return { ...input, ...size, kind: "yolo_end", outputs: [name], joints: others };
  throw new Problem(unfit(inputs, outputs));
}

const isCount = (joints) => Number.isInteger(joints) && joints >= FEWEST_JOINTS && joints <= MOST_JOINTS;

function unfit(inputs, outputs) {
  const listed = (all) => all.map(({ name, shape }) => `${shown(name, 20)} [${(shape ?? []).join(", ")}]`).join(", ");
  return (
    "The pose model does not fit: it should take a picture [1, 3, height, width] and give SimCC " +
    "(RTMPose: simcc_x and simcc_y) or YOLO-pose ([1, 56, candidates] or [1, candidates, 57]). " +
    `This one takes ${shown(listed(inputs), 80)} and gives ${shown(listed(outputs), 120)}.`
  );
}

/**
 * Return the poses in the outputs of a model.
 * @param {PoseKind} kind
 * @param {Record<string, {data: Float32Array, dims: number[]}>} outputs
 */
export function posesOf(kind, outputs) {
  const values = kind.outputs.map((name) => outputs[name]);
  if (kind.kind === "simcc") return [simccPose(values[0], values[1])];
  return kind.kind === "yolo" ? yoloPoses(values[0], kind.joints) : endPoses(values[0], kind.joints);
}

/** Return the index and the value of the largest of some values. */
function largest(data, start, count) {
  let best = start;
  for (let at = start + 1; at < start + count; at++) if (data[at] > data[best]) best = at;
  return [best - start, data[best]];
}

/** @returns {Pose} */
function simccPose(across, down) {
  const [, joints, bins] = across.dims;
  const points = new Float32Array(2 * joints);
  const confidence = new Float32Array(joints);
  for (let joint = 0; joint < joints; joint++) {
    const [x, certainX] = largest(across.data, joint * bins, bins);
    const [y, certainY] = largest(down.data, joint * down.dims[2], down.dims[2]);
    points.set([x / SIMCC_SPLIT, y / SIMCC_SPLIT], 2 * joint);
    confidence[joint] = Math.min(Math.max(Math.min(certainX, certainY), 0), 1);
  }
  return { points, confidence, score: confidence.reduce((sum, each) => sum + each, 0) / joints };
}

/** Outputs (1, 5 + 3 V, N): middle, size, score and joints of each candidate, which overlap. */
function yoloPoses({ data, dims }, joints) {
  const number = dims[2];
  const value = (row, candidate) => data[row * number + candidate];
  const found = [];
  for (let candidate = 0; candidate < number; candidate++) {
    const score = value(4, candidate);
    if (score < LEAST_SCORE) continue;
    const [x, y, width, height] = [0, 1, 2, 3].map((row) => value(row, candidate));
    const box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
    found.push({ box, score, ...jointsOf((at) => value(BOX + at, candidate), joints) });
  }
  return withoutOverlaps(found);
}

/** Outputs (1, N, 6 + 3 V): corners, score, class and joints of each candidate, which do not overlap. */
function endPoses({ data, dims }, joints) {
  const [, number, columns] = dims;
  const found = [];
  for (let candidate = 0; candidate < number; candidate++) {
    const start = candidate * columns;
    const score = data[start + 4];
    if (score < LEAST_SCORE) continue;
    found.push({
      box: [...data.subarray(start, start + 4)],
      score,
      ...jointsOf((at) => data[start + BOX_WITH_CLASS + at], joints),
    });
  }
  return withoutOverlaps(found);
}

function jointsOf(at, joints) {
  const points = Float32Array.from({ length: 2 * joints }, (_, index) => at(3 * (index >> 1) + (index & 1)));
  return {
    points,
    confidence: Float32Array.from({ length: joints }, (_, joint) => Math.min(Math.max(at(3 * joint + 2), 0), 1)),
  };
}

function withoutOverlaps(candidates) {
  const kept = [];
  for (const each of candidates.sort((one, other) => other.score - one.score)) {
    if (kept.length === MOST_PEOPLE) break;
    if (kept.every(({ box }) => overlap(box, each.box) <= LARGEST_OVERLAP)) kept.push(each);
  }
  return kept;
}

function overlap(one, other) {
  const area = ([left, top, right, bottom]) => Math.max(0, right - left) * Math.max(0, bottom - top);
  const common = area([
    Math.max(one[0], other[0]),
    Math.max(one[1], other[1]),
    Math.min(one[2], other[2]),
    Math.min(one[3], other[3]),
  ]);
  return common / Math.max(area(one) + area(other) - common, 1e-9);
}
