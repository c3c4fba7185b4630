// The space in which a recording is drawn, as `plots.drawing` finds it.
// Legend: M bodies, V joints, C coordinates.

import { bodyAt, isPresent } from "../core/recording.js";

const MOST_SAMPLED = 400; // frames that decide the space
const TILT = (12 * Math.PI) / 180;

/** @typedef {{middle: number[], radius: number, size: number, floors: (number | null)[]}} Scene floors are in radii */

/** Return points (x, y up, z) of a body's joints (V, C), NaN where one is missing. */
export function pointsOf(joints, coordinates) {
  const points = new Float32Array((joints.length / coordinates) * 3);
  for (let joint = 0; joint < points.length / 3; joint++) {
    const at = joint * coordinates;
    points[3 * joint] = joints[at];
    points[3 * joint + 1] = coordinates === 2 ? -joints[at + 1] : joints[at + 1];
    points[3 * joint + 2] = coordinates === 2 ? (Number.isNaN(joints[at]) ? NaN : 0) : joints[at + 2];
  }
  return points;
}

const axisOf = (points, axis) => Array.from(points.filter((value, at) => at % 3 === axis && !Number.isNaN(value)));

function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  return sorted[low] + (place - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

const sorted = (values) => Float64Array.from(values).sort();

/** @param {import("../core/recording.js").Recording} recording @returns {Scene} */
export function sceneOf(recording) {
  const step = Math.max(1, Math.ceil((recording.frames * recording.bodies) / MOST_SAMPLED));
  const values = [[], [], []];
  const [heights, lowest] = [[], Array.from({ length: recording.bodies }, () => [])];
  for (let body = 0; body < recording.bodies; body++) {
    for (let frame = 0; frame < recording.frames; frame += step) {
      const joints = bodyAt(recording, body, frame);
      if (!isPresent(joints)) continue;
      const points = pointsOf(joints, recording.coordinates);
      values.forEach((list, axis) => list.push(...axisOf(points, axis)));
      const own = axisOf(points, 1);
      heights.push(Math.max(...own) - Math.min(...own));
      lowest[body].push(Math.min(...own));
    }
  }
  return sceneOfValues(values, heights, lowest);
}

function sceneOfValues(values, heights, lowest) {
  if (!values[0].length) return { middle: [0, 0, 0], radius: 1, size: 1, floors: lowest.map(() => null) };
  const ends = values.map(sorted).map((list) => [quantile(list, 0.005), quantile(list, 0.995)]);
  const middle = ends.map(([low, high]) => (low + high) / 2);
  const widths = sorted(values[0].map((x, at) => Math.hypot(x - middle[0], values[2][at] - middle[2])));
  const width = quantile(widths, 0.995);
  const radius = Math.max(width, (Math.cos(TILT) * (ends[1][1] - ends[1][0])) / 2 + Math.sin(TILT) * width, 1e-6);
  const size = Math.max(quantile(sorted(heights), 0.5), radius / 10);
  const floors = lowest.map((list) => (list.length ? (quantile(sorted(list), 0.1) - middle[1]) / radius : null));
  return { middle, radius, size, floors };
}

/** Return the scene of a camera's picture. @param {number} width @param {number} height @returns {Scene} */
export function sceneOfPicture(width, height) {
  return { middle: [width / 2, -height / 2, 0], radius: Math.max(width, height) / 2, size: height * 0.8, floors: [] };
}
