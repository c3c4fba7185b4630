// Clips that are recorded in the page, by class, and the folder that `last start` trains on.

import { counted, Problem, shown } from "../core/problem.js";
import { npyOf } from "./npy_writer.js";
import { zipOf } from "./zip.js";

export const WANTED = 10; // clips of a class
const MOST_CLASSES = 100;
const LONGEST_NAME = 60;
const FEWEST_FRAMES = 8;
const COMPARED = 5; // frames of a clip, of which a copy has most
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)$/i; // names that Windows keeps for devices

/**
 * @typedef {object} TaughtClip
 * @property {Float32Array[]} frames joints (V, C) of one person
 * @property {number} fps
 * @property {number} person who it is, from 1
 */

/** Return the name of a class as that of a folder. @param {string} text */
export function className(text) {
  const name = text.normalize("NFC").trim().replace(/\s+/g, " ");
  if (!name) throw new Problem("Give the class a name, such as wave.");
  if (name.length > LONGEST_NAME) throw new Problem(`The name of a class has at most ${LONGEST_NAME} characters.`);
  if (/[\\/:*?"<>|\p{Cc}\p{Cf}]/u.test(name) || /^[.~-]|\.$/.test(name) || RESERVED.test(name)) {
    throw new Problem(`"${shown(name)}" cannot be the name of a folder: use letters, digits, spaces, - and _.`);
  }
  return name;
}

/** The classes and their clips. */
export class Collection {
  constructor() {
    /** @type {Map<string, TaughtClip[]>} */
    this.classes = new Map();
    /** @type {import("../core/layouts.js").Layout | null} */
    this.layout = null;
    this.isSaved = true;
  }

  /** @param {string} text @returns {string} the name as it is kept */
  addClass(text) {
    const name = className(text);
    const same = [...this.classes.keys()].find((each) => each.toLowerCase() === name.toLowerCase());
    if (same) throw new Problem(`There is a class "${same}" already.`);
    if (this.classes.size === MOST_CLASSES) throw new Problem(`A collection has at most ${MOST_CLASSES} classes.`);
    this.classes.set(name, []);
    return name;
  }

  /** @param {string} name */
  removeClass(name) {
    this.classes.delete(name);
    if (!this.count) this.layout = null;
  }

  /**
   * Add a clip; all clips of a collection have the same layout.
   * @param {string} name of the class
   * @param {TaughtClip} clip
   * @param {import("../core/layouts.js").Layout} layout
   */
  add(name, clip, layout) {
    if (clip.frames.length < FEWEST_FRAMES) {
      throw new Problem(
        `The clip has ${counted(clip.frames.length, "frame")}; a person has to be seen for at least ${FEWEST_FRAMES}.`,
      );
    }
    if (this.layout && this.layout.name !== layout.name) {
      throw new Problem(
        `The other clips have the layout ${this.layout.name}, this one ${layout.name}: download them first, and ` +
          "remove them.",
      );
    }
    this.layout = layout;
    this.classes.get(name).push(clip);
    this.isSaved = false;
  }

  /**
   * Return whether a clip is, at least for the most part, in the collection already, as where a recording begins again.
   * @param {TaughtClip} clip
   */
  repeats({ frames }) {
    const known = [...this.classes.values()].flat().flatMap((clip) => clip.frames);
    const places = Array.from({ length: COMPARED }, (_, part) => Math.floor(((part + 0.5) * frames.length) / COMPARED));
    const found = places.filter((place) => known.some((other) => isSame(frames[place], other)));
    return found.length > COMPARED / 2;
  }

  /** Remove the last clip of a class. @param {string} name */
  undo(name) {
    this.classes.get(name).pop();
    if (!this.count) this.layout = null;
  }

  get count() {
    return [...this.classes.values()].reduce((sum, clips) => sum + clips.length, 0);
  }

  /** Return why the folder cannot be trained on; empty if it can. */
  get lacks() {
    const filled = [...this.classes.values()].filter((clips) => clips.length);
    if (filled.length < 2) return "Record clips of two classes at least.";
    const few = [...this.classes].find(([, clips]) => clips.length === 1);
    return few ? `Record a second clip of "${few[0]}": some are trained on, others test.` : "";
  }

  /**
   * Return the folder as an archive: a folder for each class, and in it a file for each clip, which names the person.
   * @param {string} folder
   */
  archive(folder) {
    if (this.lacks) throw new Problem(this.lacks);
    const files = [...this.classes].flatMap(([name, clips]) =>
      clips.map((clip, number) => ({
        name: `${folder}/${name}/${pathOf(number, clip.person)}`,
        bytes: npzOf(clip, this.layout),
      })),
    );
    return zipOf(files);
  }
}

const isSame = (one, other) => one.length === other.length && one.every((value, at) => Object.is(value, other[at]));

const pathOf = (number, person) => `clip${String(number + 1).padStart(2, "0")}_P${String(person).padStart(3, "0")}.npz`;

/** Return a clip as an `.npz` with `joints` (T, V, C) and `fps`. */
function npzOf({ frames, fps }, layout) {
  const size = layout.joints.length * layout.coordinates;
  const joints = new Float32Array(frames.length * size);
  frames.forEach((frame, number) => joints.set(frame, number * size));
  return zipOf([
    { name: "joints.npy", bytes: npyOf(joints, [frames.length, layout.joints.length, layout.coordinates]) },
    { name: "fps.npy", bytes: npyOf(Float32Array.of(fps), []) },
  ]);
}
