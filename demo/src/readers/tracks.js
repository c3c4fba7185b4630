// Bodies that were found frame by frame: which of them are the same person, as `last.data.preparation.formats.tracks`.

import { Problem } from "../core/problem.js";
import { emptyValues, recordingOf } from "../core/recording.js";

const LOST_FRAMES = 30; // a track that was not found for longer is over
const FARTHEST = 0.5; // from one frame to the next a body moves by at most this share of its size
const MOST_IN_A_FRAME = 300;
export const MOST_PEOPLE = 10;

/**
 * @typedef {object} Detection one body in one frame; its arrays are its own, and what was not measured becomes NaN in them
 * @property {number[]} points (V * C), NaN where a joint is missing
 * @property {number[]} confidence (V,)
 * @property {number | string | null} [track] the tracker's number for the person
 * @property {number[]} [position] (V * 2) by which people are matched, if all bodies have their origin in themselves
 */

/** @typedef {{frames: number[], bodies: Detection[], amount: number}} Track */
/** @typedef {{points: number[], middle: number[], size: number}} Key what a body is matched by */

/**
 * Return a recording from the bodies of each frame.
 * @param {string} name
 * @param {Detection[][]} frames
 * @param {number} coordinates C
 * @param {{fps?: number, layout?: string}} [facts]
 */
export function recordingOfDetections(name, frames, coordinates, facts = {}) {
  const found = frames.map((frame) => frame.filter((body) => forgetMissing(body, coordinates)));
  const first = found.find((frame) => frame.length)?.[0];
  if (!first) throw new Problem("No body is present in any frame of this recording: there is nothing to show.");
  const joints = first.points.length / coordinates;
  for (const frame of found) {
    if (frame.length > MOST_IN_A_FRAME)
      throw new Problem(`A frame has ${frame.length} bodies; at most ${MOST_IN_A_FRAME} are read.`);
    const other = frame.find((body) => body.points.length !== first.points.length);
    if (other) throw new Problem(`Some bodies have ${joints} joints and others ${other.points.length / coordinates}.`);
  }
  const isNumbered = found.every((frame) => frame.every(({ track }) => track !== null && track !== undefined));
  const tracks = isNumbered ? byNumber(found) : byPosition(found, coordinates);
  const { people, hasMore } = peopleOf(tracks);
  return recordingOf({ name, ...arraysOf(people, found.length, joints, coordinates), hasMore, ...facts });
}

/**
 * Return the coordinates and the confidences in a flat list of x, y and score of each joint.
 * @param {(number | null)[]} numbers
 */
export function jointsOfRows(numbers) {
  const count = numbers.length / 3;
  const [points, confidence] = [new Array(2 * count), new Array(count)];
  for (let joint = 0; joint < count; joint++) {
    points[2 * joint] = numbers[3 * joint] ?? NaN;
    points[2 * joint + 1] = numbers[3 * joint + 1] ?? NaN;
    confidence[joint] = numbers[3 * joint + 2] ?? NaN;
  }
  return { points, confidence };
}

/** Set the joints of a body that were not measured to NaN; return whether any of it is there. */
function forgetMissing({ points, confidence, position }, coordinates) {
  let isThere = false;
  for (let joint = 0; joint < confidence.length; joint++) {
    const start = joint * coordinates;
    let [isMissing, isZero] = [Number.isNaN(confidence[joint]), true];
    for (let at = start; at < start + coordinates; at++) {
      if (Number.isNaN(points[at])) isMissing = true;
      if (points[at] !== 0) isZero = false;
    }
    if (isMissing || (isZero && confidence[joint] === 0)) {
      points.fill(NaN, start, start + coordinates);
      position?.fill(NaN, 2 * joint, 2 * joint + 2);
      confidence[joint] = NaN;
    } else if (!isZero) isThere = true;
  }
  return isThere;
}

/** @returns {Track} */
const newTrack = () => ({ frames: [], bodies: [], amount: 0 });

/** Add a body to a track, whose amount is what was measured of it: the sum of its confidences. */
function extend(track, number, body) {
  track.frames.push(number);
  track.bodies.push(body);
  for (const certain of body.confidence) if (!Number.isNaN(certain)) track.amount += certain;
}

function byNumber(frames) {
  const tracks = new Map();
  frames.forEach((frame, number) => {
    for (const body of frame) {
      if (!tracks.has(body.track)) tracks.set(body.track, newTrack());
      const track = tracks.get(body.track);
      if (track.frames.at(-1) === number)
        throw new Problem(`Frame ${number + 1} has two bodies of the track ${body.track}.`);
      extend(track, number, body);
    }
  });
  return [...tracks.values()];
}

function byPosition(frames, coordinates) {
  const tracks = [];
  let recent = [];
  const keys = new Keys(coordinates);
  frames.forEach((frame, number) => {
    recent = recent.filter((track) => number - track.frames.at(-1) <= LOST_FRAMES);
    const earlier = recent.map((track) => track.bodies.at(-1));
    const isPlaced = [...earlier, ...frame].every(({ position }) => position);
    const matched = matches(keys.of(earlier, isPlaced), keys.of(frame, isPlaced));
    frame.forEach((body, index) => {
      const track = matched.has(index) ? recent[matched.get(index)] : newTrack();
      if (!matched.has(index)) {
        tracks.push(track);
        recent.push(track);
      }
      extend(track, number, body);
    });
  });
  return tracks;
}

/** What bodies are matched by, found once for each. */
class Keys {
  /** @param {number} coordinates C */
  constructor(coordinates) {
    Object.assign(this, { coordinates, byPoints: new WeakMap(), byPosition: new WeakMap() });
  }

  /** @param {Detection[]} bodies @param {boolean} isPlaced @returns {Key[]} */
  of(bodies, isPlaced) {
    const [known, axes] = isPlaced ? [this.byPosition, 2] : [this.byPoints, this.coordinates];
    return bodies.map((body) => {
      if (!known.has(body)) known.set(body, keyOf(isPlaced ? body.position : body.points, axes));
      return known.get(body);
    });
  }
}

/** @param {number[]} points @param {number} axes @returns {Key} */
function keyOf(points, axes) {
  const [middle, extents] = [new Array(axes).fill(NaN), new Array(axes).fill(0)];
  for (let axis = 0; axis < axes; axis++) {
    let [low, high, sum, count] = [Infinity, -Infinity, 0, 0];
    for (let at = axis; at < points.length; at += axes) {
      const value = points[at];
      if (Number.isNaN(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
      sum += value;
      count += 1;
    }
    if (count) [middle[axis], extents[axis]] = [sum / count, high - low];
  }
  return { points, middle, size: Math.hypot(...extents) };
}

/** Return the index of the earlier body of each one that has any, the nearest pairs first. */
function matches(earlier, bodies) {
  const pairs = [];
  earlier.forEach((old, one) =>
    bodies.forEach((body, other) => {
      const far = apart(old, body);
      if (far <= FARTHEST) pairs.push({ one, other, far });
    }),
  );
  const [found, taken] = [new Map(), new Set()];
  for (const { one, other } of pairs.sort((first, second) => first.far - second.far)) {
    if (taken.has(one) || found.has(other)) continue;
    found.set(other, one);
    taken.add(one);
  }
  return found;
}

/** Return the mean distance of the common joints of two bodies, else that of their middles, by the larger one's size. */
function apart(old, body) {
  const axes = old.middle.length;
  let [sum, common] = [0, 0];
  for (let at = 0; at < body.points.length; at += axes) {
    const far = distance(old.points, body.points, at, axes);
    if (Number.isNaN(far)) continue;
    sum += far;
    common += 1;
  }
  const far = common ? sum / common : distance(old.middle, body.middle, 0, axes);
  return far / Math.max(old.size, body.size, 1e-9);
}

function distance(one, other, start, axes) {
  let square = 0;
  for (let at = start; at < start + axes; at++) square += (one[at] - other[at]) ** 2;
  return Math.sqrt(square);
}

/**
 * Return the tracks of each person, those who were measured most first, and whether there are more people than are kept;
 * tracks that do not overlap are one person's.
 * @param {Track[]} tracks
 */
function peopleOf(tracks) {
  const people = [];
  let hasMore = false;
  for (const track of [...tracks].sort((one, other) => other.amount - one.amount || one.frames[0] - other.frames[0])) {
    const [first, last] = [track.frames[0], track.frames.at(-1)];
    const free = people.find((person) => last < person.first || person.last < first);
    if (free) {
      free.tracks.push(track);
      [free.first, free.last] = [Math.min(free.first, first), Math.max(free.last, last)];
    } else if (people.length < MOST_PEOPLE) people.push({ tracks: [track], first, last });
    else hasMore = true;
  }
  return { people: people.map((person) => person.tracks), hasMore };
}

function arraysOf(people, frames, joints, coordinates) {
  const data = emptyValues(people.length * frames * joints * coordinates);
  const confidence = emptyValues(people.length * frames * joints);
  people.forEach((tracks, person) => {
    for (const track of tracks) {
      track.frames.forEach((frame, index) => {
        const place = (person * frames + frame) * joints;
        data.set(track.bodies[index].points, place * coordinates);
        confidence.set(track.bodies[index].confidence, place);
      });
    }
  });
  return { bodies: people.length, frames, joints, coordinates, data, confidence };
}
