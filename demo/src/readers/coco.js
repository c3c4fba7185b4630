// COCO's key points: the lists that YOLO, MMPose and AlphaPose write, and COCO's own annotations.

import { Problem } from "../core/problem.js";
import { jointsOfRows, recordingOfDetections } from "./tracks.js";

const COCO_JOINTS = 17;
const FLAGS = [NaN, 0.5, 1]; // confidence of a joint that is missing, annotated though it is hidden, or visible
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
  const joints = bodies.find((frame) => frame.length)?.[0].confidence.length ?? 0;
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
  const keys = [...images.keys()];
  const areNumbers = keys.every((key) => typeof key === "number");
  keys.sort(areNumbers ? (one, other) => one - other : (one, other) => collator.compare(String(one), String(other)));
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
  const { points, confidence } = jointsOf(person);
  const areFlags = confidence.includes(2) && confidence.every((value) => value === 0 || value === 1 || value === 2);
  const isFlagged = areFlags || (isAnnotated && confidence.every((value) => value === 0 || value === 1));
  for (let joint = 0; joint < confidence.length; joint++)
    confidence[joint] = isFlagged ? FLAGS[confidence[joint]] : Math.min(confidence[joint], 1);
  const track = [person.track_id, person.idx].find(Number.isInteger) ?? null;
  return { points, confidence, track };
}

const areNumbers = (list) =>
  Array.isArray(list) && list.every((value) => typeof value === "number" || value === null);
const number = (value) => value ?? NaN;

/** Return the coordinates of the joints of a body, and their scores. */
function jointsOf(person) {
  const { keypoints, keypoint_scores: scores } = Object(person);
  if (isObject(keypoints) && areNumbers(keypoints.x) && areNumbers(keypoints.y)) {
    return {
      points: keypoints.x.flatMap((x, joint) => [number(x), number(keypoints.y[joint])]),
      confidence: keypoints.x.map((_, joint) => number(keypoints.visible?.[joint] ?? 1)),
    };
  }
  if (areNumbers(keypoints) && keypoints.length % 3 === 0) return jointsOfRows(keypoints);
  if (
    Array.isArray(keypoints) &&
    keypoints.every((point) => areNumbers(point) && point.length === 2) &&
    areNumbers(scores)
  ) {
    if (scores.length !== keypoints.length) throw new Problem("A body has other numbers of joints and of scores.");
    return { points: keypoints.flat().map(number), confidence: scores.map(number) };
  }
  throw new Problem("`keypoints` of a body should be x, y and score of each joint.");
}
