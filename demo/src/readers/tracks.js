// Bodies that were found frame by frame: which of them are the same person, as `last.data.preparation.formats.tracks`.

import { Problem } from "../core/problem.js";
import { recordingOf } from "../core/recording.js";

const LOST_FRAMES = 30; // a track that was not found for longer is over
const FARTHEST = 0.5; // from one frame to the next a body moves by at most this share of its size
const MOST_IN_A_FRAME = 300;
const MOST_PEOPLE = 10;

/**
 * @typedef {object} Detection one body in one frame
 * @property {number[]} points (V * C), NaN where a joint is missing
 * @property {number[]} confidence (V,)
 * @property {number | string | null} [track] the tracker's number for the person
 * @property {number[]} [position] (V * 2) by which people are matched, if all bodies have their origin in themselves
 */

/**
 * Return a recording from the bodies of each frame.
 * @param {string} name
 * @param {Detection[][]} frames
 * @param {number} coordinates C
 * @param {{fps?: number, layout?: string}} [facts]
 */
export function recordingOfDetections(name, frames, coordinates, facts = {}) {
  const found = frames.map((frame) => frame.map((body) => measured(body, coordinates)).filter(isThere));
  const first = found.flat()[0];
  if (!first) throw new Problem("No body is present in any frame of this recording: there is nothing to show.");
  const joints = first.points.length / coordinates;
  const other = found.flat().find((body) => body.points.length !== first.points.length);
  if (other) throw new Problem(`Some bodies have ${joints} joints and others ${other.points.length / coordinates}.`);
  const most = found.reduce((largest, frame) => Math.max(largest, frame.length), 0);
  if (most > MOST_IN_A_FRAME) throw new Problem(`A frame has ${most} bodies; at most ${MOST_IN_A_FRAME} are read.`);
  const isNumbered = found.every((frame) => frame.every(({ track }) => track !== null && track !== undefined));
  const tracks = isNumbered ? byNumber(found) : byPosition(found, coordinates);
  const people = peopleOf(tracks).slice(0, MOST_PEOPLE);
  return recordingOf({ name, ...arraysOf(people, found.length, joints, coordinates), ...facts });
}

/** Return a body with NaN for the joints that were not measured. */
function measured(body, coordinates) {
  const points = body.points.slice();
  body.confidence.forEach((certain, joint) => {
    const own = points.slice(joint * coordinates, (joint + 1) * coordinates);
    const isMissing =
      Number.isNaN(certain) || own.some(Number.isNaN) || (certain === 0 && own.every((value) => value === 0));
    if (isMissing) points.fill(NaN, joint * coordinates, (joint + 1) * coordinates);
  });
  return { ...body, points };
}

const isThere = ({ points }) => points.some((value) => value !== 0 && !Number.isNaN(value));

function byNumber(frames) {
  const tracks = new Map();
  frames.forEach((frame, number) => {
    for (const body of frame) {
      if (!tracks.has(body.track)) tracks.set(body.track, { frames: [], bodies: [] });
      const track = tracks.get(body.track);
      if (track.frames.at(-1) === number)
        throw new Problem(`Frame ${number + 1} has two bodies of the track ${body.track}.`);
      track.frames.push(number);
      track.bodies.push(body);
    }
  });
  return [...tracks.values()];
}

function byPosition(frames, coordinates) {
  const tracks = [];
  let recent = [];
  frames.forEach((frame, number) => {
    recent = recent.filter((track) => number - track.frames.at(-1) <= LOST_FRAMES);
    const earlier = recent.map((track) => track.bodies.at(-1));
    const matched = matches(earlier, frame, coordinates);
    frame.forEach((body, index) => {
      const track = matched.has(index) ? recent[matched.get(index)] : { frames: [], bodies: [] };
      if (!matched.has(index)) {
        tracks.push(track);
        recent.push(track);
      }
      track.frames.push(number);
      track.bodies.push(body);
    });
  });
  return tracks;
}

/** Return the index of the earlier body of each one that has any, the nearest pairs first. */
function matches(earlier, bodies, coordinates) {
  const isPlaced = [...earlier, ...bodies].every(({ position }) => position);
  const pairs = earlier.flatMap((old, one) =>
    bodies.map((body, other) => ({ one, other, apart: apart(old, body, coordinates, isPlaced) })),
  );
  const [found, taken] = [new Map(), new Set()];
  for (const { one, other, apart: far } of pairs.sort((first, second) => first.apart - second.apart)) {
    if (!(far <= FARTHEST)) break;
    if (taken.has(one) || found.has(other)) continue;
    found.set(other, one);
    taken.add(one);
  }
  return found;
}

/** Return the mean distance of the common joints of two bodies, by the larger one's size. */
function apart(old, body, coordinates, isPlaced) {
  const axes = isPlaced ? 2 : coordinates;
  const [before, now] = isPlaced ? [old.position, body.position] : [old.points, body.points];
  let [sum, common] = [0, 0];
  for (let at = 0; at < now.length; at += axes) {
    const far = Math.hypot(...Array.from({ length: axes }, (_, axis) => now[at + axis] - before[at + axis]));
    if (Number.isNaN(far)) continue;
    sum += far;
    common += 1;
  }
  return common ? sum / common / Math.max(sizeOf(before, axes), sizeOf(now, axes), 1e-9) : Infinity;
}

function sizeOf(points, axes) {
  const extents = Array.from({ length: axes }, (_, axis) => {
    const values = points.filter((value, at) => at % axes === axis && !Number.isNaN(value));
    return values.length ? Math.max(...values) - Math.min(...values) : 0;
  });
  return Math.hypot(...extents);
}

/** Return the tracks of each person, those who were measured most first; tracks that do not overlap are one person's. */
function peopleOf(tracks) {
  const sum = (values) => values.reduce((total, value) => total + (Number.isNaN(value) ? 0 : value), 0);
  const amounts = new Map(tracks.map((track) => [track, sum(track.bodies.map(({ confidence }) => sum(confidence)))]));
  const people = [];
  for (const track of [...tracks].sort(
    (one, other) => amounts.get(other) - amounts.get(one) || one.frames[0] - other.frames[0],
  )) {
    const free = people.find((parts) => {
      const first = Math.min(...parts.map(({ frames }) => frames[0]));
      const last = Math.max(...parts.map(({ frames }) => frames.at(-1)));
      return !(track.frames[0] <= last && first <= track.frames.at(-1));
    });
    if (free) free.push(track);
    else people.push([track]);
  }
  return people;
}

function arraysOf(people, frames, joints, coordinates) {
  const data = new Float32Array(people.length * frames * joints * coordinates).fill(NaN);
  const confidence = new Float32Array(people.length * frames * joints).fill(NaN);
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
