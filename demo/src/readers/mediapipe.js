// MediaPipe's landmarks: the results of all frames of a video as programs dump them, see `last`'s reader `mediapipe`.

import { counted, Problem } from "../core/problem.js";
import { recordingOfDetections } from "./tracks.js";

const WORLD = ["pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks"];
const PICTURE = ["pose_landmarks", "poseLandmarks", "landmarks"];
const TIMES = ["timestamp_ms", "timestampMs", "timestamp"];
const SLOWEST_S = 2;
const JOINTS = 33;

const valueOf = (frame, keys) =>
  keys.map((key) => frame[key]).find((value) => value && (!Array.isArray(value) || value.length));

/** Return whether a content looks like landmarks. @param {any} content */
export function isMediapipe(content) {
  const frames = Array.isArray(content) ? content : content?.frames;
  return (
    Array.isArray(frames) &&
    frames.some((frame) => frame && [...WORLD, ...PICTURE].some((key) => Object.hasOwn(Object(frame), key)))
  );
}

/**
 * Return the recording in the landmarks of some frames.
 * @param {string} name
 * @param {any} content
 */
export function readMediapipe(name, content) {
  const outer = Array.isArray(content) ? {} : content;
  const frames = (Array.isArray(content) ? content : content.frames).map((frame) => frame ?? {});
  const isWorld = frames.some((frame) => valueOf(frame, WORLD));
  const scale = isWorld ? [-1, -1, 1] : shares(outer);
  const bodies = frames.map((frame, number) => detectionsOf(frame, isWorld, scale, number + 1));
  const isKnown = bodies.some((frame) => frame.some(({ confidence }) => confidence.some((value) => value > 0)));
  for (const body of bodies.flat()) {
    body.confidence = body.confidence.map((value) => (isKnown && value !== -1 ? value : 1));
  }
  return recordingOfDetections(name, bodies, 3, { fps: rateOf(outer, frames), layout: "mediapipe33" });
}

/** Return the signs of the axes, and what makes shares of a picture shares of its height. */
function shares({ width, height }) {
  const ratio = width > 0 && height > 0 ? width / height : 1;
  return [-ratio, -1, ratio];
}

function detectionsOf(frame, isWorld, scale, number) {
  const bodies = pointsOf(valueOf(frame, isWorld ? WORLD : PICTURE), number);
  const places = isWorld ? pointsOf(valueOf(frame, PICTURE), number) : [];
  return bodies.map((landmarks, index) => {
    const [points, confidence] = [new Array(3 * JOINTS), new Array(JOINTS)];
    landmarks.forEach(({ x, y, z, visibility }, joint) => {
      points[3 * joint] = x * scale[0];
      points[3 * joint + 1] = y * scale[1];
      points[3 * joint + 2] = (z ?? NaN) * scale[2];
      confidence[joint] = visibility ?? -1;
    });
    const position = places.length === bodies.length ? places[index].flatMap(({ x, y }) => [x, y]) : undefined;
    return { points, confidence, position };
  });
}

function pointsOf(value, number) {
  if (!value) return [];
  const list = Array.isArray(value) ? value : value.landmark;
  if (!Array.isArray(list)) throw new Problem(`The landmarks of frame ${number} should be a list.`);
  const isOne = list.length > 0 && typeof list[0] === "object" && Object.hasOwn(Object(list[0]), "x");
  return (isOne ? [list] : list).map((body) => {
    const landmarks = Array.isArray(body) ? body : body?.landmark;
    if (!Array.isArray(landmarks) || landmarks.length !== JOINTS) {
      throw new Problem(
        `Frame ${number} has a body of ${counted(landmarks?.length ?? 0, "landmark")}; MediaPipe's Pose has ${JOINTS}.`,
      );
    }
    if (!landmarks.every((each) => typeof each?.x === "number" && typeof each.y === "number")) {
      throw new Problem(`Frame ${number} has a landmark without numbers x and y.`);
    }
    return landmarks;
  });
}

function rateOf(outer, frames) {
  const key = TIMES.find((each) => frames.length > 1 && frames.every((frame) => typeof frame[each] === "number"));
  if (!key) return outer.fps > 0 ? Number(outer.fps) : 0;
  const span = (frames.at(-1)[key] - frames[0][key]) / (frames.length - 1);
  const isSeconds = key === "timestamp" && span < SLOWEST_S;
  return span > 0 ? 1 / (isSeconds ? span : span / 1000) : 0;
}
