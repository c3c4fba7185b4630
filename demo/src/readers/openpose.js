// OpenPose: a JSON file for each frame, as its option --write_json writes them; 25 joints (BODY_25) or 18.

import { Problem, shown } from "../core/problem.js";
import { jointsOfRows, recordingOfDetections } from "./tracks.js";

const LAYOUTS = { 25: "body25_2d", 18: "openpose18_2d" };
const FRAME = /^(.*?)_?(\d+)_keypoints\.json$/i;

/** Return whether a file has the name of a frame. @param {string} name */
export function isFrameName(name) {
  return FRAME.test(name);
}

/** Return whether a content looks like a frame. @param {any} content */
export function isOpenpose(content) {
  return Array.isArray(content?.people);
}

/**
 * Return the recording that consists of some frames.
 * @param {string} name
 * @param {{name: string, content: any}[]} files of frames, in any order
 */
export function readOpenpose(name, files) {
  const numbered = files.map((file) => ({ ...file, number: Number(FRAME.exec(file.name)?.[2] ?? 0) }));
  numbered.sort((one, other) => one.number - other.number);
  const frames = numbered.map(({ name: file, content }) => {
    if (!isOpenpose(content)) throw new Problem(`${shown(file)} is no frame of OpenPose: it has no \`people\`.`);
    return content.people.flatMap((person) => detectionsOf(file, person));
  });
  const joints = frames.find((frame) => frame.length)?.[0].confidence.length ?? 0;
  return recordingOfDetections(name, frames, 2, { layout: LAYOUTS[joints] ?? "" });
}

function detectionsOf(file, person) {
  const numbers = person?.pose_keypoints_2d;
  if (!Array.isArray(numbers) || numbers.some((value) => typeof value !== "number")) {
    throw new Problem(`${shown(file)}: a person has no list of numbers \`pose_keypoints_2d\`.`);
  }
  if (!numbers.length) return [];
  if (!LAYOUTS[numbers.length / 3]) {
    throw new Problem(`${shown(file)}: a person has ${numbers.length} numbers; BODY_25 has 75 and the COCO model 54.`);
  }
  const { points, confidence } = jointsOfRows(numbers);
  const id = Array.isArray(person.person_id) ? person.person_id[0] : person.person_id;
  const track = Number.isInteger(id) && id >= 0 ? id : null;
  return [{ points, confidence: confidence.map((value) => Math.min(value, 1)), track }];
}
