// COCO's key points: the lists that YOLO, MMPose and AlphaPose write, and COCO's own annotations.

import { Problem } from "../core/problem.js";
import { recordingOfDetections } from "./tracks.js";

const COCO_JOINTS = 17;
const OCCLUDED = 0.5; // confidence of a joint that was annotated though it is hidden
const collator = new Intl.Collator("en", { numeric: true });

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Return whether a content looks like key points. @param {any} content */
export function isCoco(content) {
  if (isObject(content)) return "annotations" in content || "instance_info" in content;
  if (!Array.isArray(content) || !content.length) return false;
  if (Array.isArray(content[0])) return content.some((frame) => isObject(frame[0]) && "keypoints" in frame[0]);
  return isObject(content[0]) && ("keypoints" in content[0] || "instances" in content[0]);
}

/**
 * Return the recording in a content.
 * @param {string} name
 * @param {any} content
 */
export function readCoco(name, content) {
  const isAnnotated = isObject(content) && "annotations" in content;
  const frames = isAnnotated ? annotated(content) : results(isObject(content) ? content.instance_info : content);
  const bodies = frames.map((frame) => frame.map((person) => detectionOf(person, isAnnotated)));
  const joints = bodies.flat()[0]?.confidence.length ?? 0;
  return recordingOfDetections(name, bodies, 2, { layout: joints === COCO_JOINTS ? "coco17_2d" : "" });
}

function results(items) {
  if (!Array.isArray(items)) throw new Problem("`instance_info` should be a list of frames.");
  if (items.every(Array.isArray)) return items;
  if (items.every((item) => isObject(item) && Array.isArray(item.instances))) {
    const ordered = items.every((item) => Number.isInteger(item.frame_id));
    return (ordered ? [...items].sort((one, other) => one.frame_id - other.frame_id) : items).map(
      (item) => item.instances,
    );
  }
  if (!items.every((item) => isObject(item) && "image_id" in item)) {
    throw new Problem("Each item of the list should have `image_id` and `keypoints`.");
  }
  return byImage(items);
}

function byImage(items) {
  const images = new Map();
  for (const item of items) {
    if (!images.has(item.image_id)) images.set(item.image_id, []);
    images.get(item.image_id).push(item);
  }
  const keys = [...images.keys()].sort((one, other) => collator.compare(String(one), String(other)));
  return keys.map((key) => images.get(key));
}

function annotated({ images, annotations }) {
  if (!Array.isArray(images) || !Array.isArray(annotations))
    throw new Problem("`images` and `annotations` should be lists.");
  const frames = new Map(
    [...images]
      .sort((one, other) => collator.compare(String(one.file_name ?? one.id), String(other.file_name ?? other.id)))
      .map(({ id }) => [id, []]),
  );
  for (const annotation of annotations) {
    const frame = frames.get(annotation?.image_id);
    if (!frame) throw new Problem("An annotation is of an image that is not in `images`.");
    if ("keypoints" in annotation) frame.push(annotation);
  }
  return [...frames.values()];
}

function detectionOf(person, isAnnotated) {
  const rows = rowsOf(person);
  let confidence = rows.map((row) => row[2]);
  const areFlags = confidence.includes(2) && confidence.every((value) => [0, 1, 2].includes(value));
  if (areFlags || (isAnnotated && confidence.every((value) => [0, 1].includes(value)))) {
    confidence = confidence.map((flag) => [NaN, OCCLUDED, 1][flag]);
  }
  const track = [person.track_id, person.idx].find(Number.isInteger) ?? null;
  return {
    points: rows.flatMap(([x, y]) => [x, y]),
    confidence: confidence.map((value) => Math.min(value, 1)),
    track,
  };
}

/** Return the joints of a body, [x, y, score] each. */
function rowsOf(person) {
  const { keypoints, keypoint_scores: scores } = Object(person);
  const areNumbers = (list) =>
    Array.isArray(list) && list.every((value) => typeof value === "number" || value === null);
  const number = (value) => value ?? NaN;
  if (isObject(keypoints) && areNumbers(keypoints.x) && areNumbers(keypoints.y)) {
    return keypoints.x.map((x, joint) => [
      number(x),
      number(keypoints.y[joint]),
      number(keypoints.visible?.[joint] ?? 1),
    ]);
  }
  if (areNumbers(keypoints) && keypoints.length % 3 === 0) {
    return Array.from({ length: keypoints.length / 3 }, (_, joint) =>
      keypoints.slice(3 * joint, 3 * joint + 3).map(number),
    );
  }
  if (
    Array.isArray(keypoints) &&
    keypoints.every((point) => areNumbers(point) && point.length === 2) &&
    areNumbers(scores)
  ) {
    if (scores.length !== keypoints.length) throw new Problem("A body has other numbers of joints and of scores.");
    return keypoints.map(([x, y], joint) => [number(x), number(y), number(scores[joint])]);
  }
  throw new Problem("`keypoints` of a body should be x, y and score of each joint.");
}
