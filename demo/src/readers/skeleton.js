// NTU RGB+D's `.skeleton`: text, per frame the bodies, per body ten fields, a joint count and a row for each joint.

import { Problem, shown } from "../core/problem.js";
import { emptyValues, recordingOf } from "../core/recording.js";
import { actorsOf } from "./actors.js";

const JOINT_FIELDS = 12;
const COORDINATES = 3;
const MOST_BODIES = 64;
const CONFIDENCE = { 1: 0.5, 0: 0 }; // of joints that are inferred or not tracked

/** Reads the lines of a text one after the other. */
class Lines {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.number = 0;
  }

  /** @param {string} expected */
  next(expected) {
    if (this.at >= this.text.length) throw this.bad(`the file ends where ${expected} was expected`);
    const end = this.text.indexOf("\n", this.at);
    const line = this.text.slice(this.at, end < 0 ? undefined : end);
    this.at = end < 0 ? this.text.length : end + 1;
    this.number += 1;
    return line.trim();
  }

  /** @param {string} what */
  whole(what) {
    const line = this.next(what);
    if (!/^\d{1,9}$/.test(line)) throw this.bad(`${what} should be a whole number, not "${shown(line, 40)}"`);
    return Number(line);
  }

  bad(reason) {
    return new Problem(`Line ${this.number} of the .skeleton file: ${reason}.`);
  }
}

/**
 * Return the recording in a text.
 * @param {string} name
 * @param {Uint8Array} bytes
 */
export function readSkeleton(name, bytes) {
  const lines = new Lines(new TextDecoder("utf-8").decode(bytes));
  const frames = lines.whole("the number of frames");
  /** @type {Map<string, {id: string, frames: number[], joints: number[][], states: number[][]}>} */
  const tracks = new Map();
  let joints = 0;
  for (let frame = 0; frame < frames; frame++) {
    const count = lines.whole(`the number of bodies in frame ${frame + 1}`);
    if (count > MOST_BODIES)
      throw lines.bad(`frame ${frame + 1} has ${count} bodies, more than the ${MOST_BODIES} allowed`);
    for (let body = 0; body < count; body++) joints = readBody(lines, frame, joints, tracks);
  }
  const { actors, hasMore } = actorsOf([...tracks.values()]);
  const layout = joints === 25 ? "ntu25" : "";
  return recordingOf({ name, ...arraysOf(actors, frames, joints), hasMore, layout, fps: 30 });
}

function readBody(lines, frame, known, tracks) {
  const id = lines.next(`a body of frame ${frame + 1}`).split(/\s+/)[0];
  if (!/^-?\d+$/.test(id)) throw lines.bad("a body should begin with its id, a whole number");
  const count = lines.whole("the number of joints");
  if (known && count !== known) throw lines.bad(`a body has ${count} joints, others have ${known}`);
  const [points, states] = [[], []];
  for (let joint = 0; joint < count; joint++) {
    const fields = lines.next(`joint ${joint + 1} of a body of frame ${frame + 1}`).split(/\s+/);
    const point = fields.slice(0, COORDINATES).map(Number);
    if (fields.length !== JOINT_FIELDS || !point.every(Number.isFinite)) {
      throw lines.bad(`a joint should be a row of ${JOINT_FIELDS} numbers`);
    }
    points.push(...point);
    states.push(CONFIDENCE[fields[JOINT_FIELDS - 1]] ?? 1);
  }
  if (!tracks.has(id)) tracks.set(id, { id, frames: [], joints: [], states: [] });
  const track = tracks.get(id);
  if (track.frames.at(-1) === frame) throw lines.bad(`body ${shown(id, 20)} occurs twice in frame ${frame + 1}`);
  track.frames.push(frame);
  track.joints.push(points);
  track.states.push(states);
  return count;
}

/** Put the tracks of each actor into arrays (M, T, V, C) and (M, T, V). */
function arraysOf(actors, frames, joints) {
  const bodies = actors.length;
  const data = emptyValues(bodies * frames * joints * COORDINATES);
  const confidence = emptyValues(bodies * frames * joints);
  actors.forEach((parts, body) => {
    for (const part of parts) {
      part.frames.forEach((frame, index) => {
        data.set(part.joints[index], (body * frames + frame) * joints * COORDINATES);
        confidence.set(part.states[index], (body * frames + frame) * joints);
      });
    }
  });
  const known = confidence.some((value) => value > 0);
  return { bodies, frames, joints, coordinates: COORDINATES, data, confidence: known ? confidence : null };
}
