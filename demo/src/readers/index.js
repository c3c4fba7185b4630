// Files that were dropped or chosen, as a recording.

import { parse } from "../core/json.js";
import { counted, Problem, shown } from "../core/problem.js";
import { isCoco, readCoco } from "./coco.js";
import { isMediapipe, readMediapipe } from "./mediapipe.js";
import { isNested, readNested } from "./nested.js";
import { isNpy, readNpy } from "./npy.js";
import { isFrameName, isOpenpose, readOpenpose } from "./openpose.js";
import { readSkeleton } from "./skeleton.js";

const MIB = 1 << 20;
const LIMITS_MIB = { npy: 512, skeleton: 384, json: 128 };
const MOST_FRAME_FILES = 20_000;
const READ = ".skeleton, .npy, and .json of MediaPipe, OpenPose, COCO key points or nested lists";

/** @typedef {{name: string, size: number, arrayBuffer: () => Promise<ArrayBuffer>}} FileLike */

const endingOf = (name) => /\.([a-z0-9]+)$/i.exec(name)?.[1].toLowerCase() ?? "";

/**
 * Return the recording in some files: one, or the frames of OpenPose.
 * @param {FileLike[]} files
 * @returns {Promise<import("../core/recording.js").Recording>}
 */
export async function readFiles(files) {
  const frames = files.filter(({ name }) => isFrameName(name));
  if (frames.length && frames.length === files.length) return readFrames(frames);
  if (files.length !== 1)
    throw new Problem(`Open one recording at a time: ${counted(files.length, "file")} were given. Read are ${READ}.`);
  const [file] = files;
  const ending = endingOf(file.name);
  if (!Object.hasOwn(LIMITS_MIB, ending))
    throw new Problem(`${shown(file.name)} is not a kind of file that this page reads. Read are ${READ}.`);
  refuseLarge(file, LIMITS_MIB[ending]);
  const bytes = await bytesOf(file);
  const name = file.name.slice(0, -ending.length - 1);
  return named(file.name, () => read(name, ending, bytes));
}

function refuseLarge({ name, size }, most) {
  if (size > most * MIB) {
    throw new Problem(
      `${shown(name)} has ${Math.ceil(size / MIB)} MiB; at most ${most} MiB of this kind are read. ` +
        (name.toLowerCase().endsWith(".npy") ? "Cut it into parts." : "Cut it into parts, or save it as .npy."),
    );
  }
}

/** Return the content of a file. @param {FileLike} file */
async function bytesOf(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    throw new Problem(
      `${shown(file.name)} cannot be read (${shown(error.name, 40)}). If it is a file that was moved, changed or never ` +
        "downloaded, choose it again.",
    );
  }
}

/** Run a reader so that its problems name the file. */
function named(name, reader) {
  try {
    return reader();
  } catch (error) {
    throw new Problem(`${shown(name)}: ${reasonOf(error)}`);
  }
}

function reasonOf(error) {
  if (error instanceof Problem) return error.message;
  const told = shown(error.message, 100);
  if (error instanceof RangeError) return `It needs more memory than there is here (${told}). Cut it into parts.`;
  return `Its content is not as its kind should be (${told}).`;
}

function read(name, ending, bytes) {
  if (!bytes.length) throw new Problem("The file is empty.");
  if (ending === "npy" || isNpy(bytes)) return readNpy(name, bytes);
  return ending === "skeleton" ? readSkeleton(name, bytes) : readJson(name, parse(bytes));
}

function readJson(name, content) {
  if (content?.format === "last-recognizer") {
    throw new Problem("This is the description of a model. Open it together with its .onnx file.");
  }
  if (isOpenpose(content)) return readOpenpose(name, [{ name, content }]);
  if (isMediapipe(content)) return readMediapipe(name, content);
  if (isCoco(content)) return readCoco(name, content);
  if (isNested(content)) return readNested(name, content);
  throw new Problem(`Its content is of no known kind. Read are ${READ}.`);
}

/** Return the recording that consists of the frames of OpenPose. @param {FileLike[]} files */
async function readFrames(files) {
  if (files.length > MOST_FRAME_FILES)
    throw new Problem(`${counted(files.length, "frame")} are too many; at most ${MOST_FRAME_FILES} are read.`);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  refuseLarge({ name: "The folder of frames", size: total }, LIMITS_MIB.json);
  const contents = await Promise.all(
    files.map(async (file) => {
      const bytes = await bytesOf(file);
      return { name: file.name, content: named(file.name, () => parse(bytes)) };
    }),
  );
  const name = files[0].name.replace(/_?\d+_keypoints\.json$/i, "") || "frames";
  return named(name, () => readOpenpose(name, contents));
}
