// The camera, and the pose model that finds people in its pictures. Nothing of it leaves the page.

import { Problem } from "../core/problem.js";
import { assign, positionOf, sizeOf } from "../live/tracking.js";
import { kindOf, posesOf } from "./kinds.js";
import { OneEuro } from "./one_euro.js";
import { boxOf, cut, inVideo, tensorOf } from "./picture.js";

const LOWEST = 0.3; // confidence of a joint that is used
const LEAST_MEAN = 0.3; // of a person
const STEP = 0.75; // of its size: how far a person may move between two pictures
const LOST_S = 0.5;
const GREY = "rgb(114, 114, 114)"; // around pictures of another shape than the model's
const SMOOTH = { minCutoff: 1.5, beta: 0.02 }; // in pixels a second: a wrist moves by some hundreds

const REASONS = {
  NotAllowedError: "The camera was refused. Allow it in the browser's settings of this page, and start again.",
  NotFoundError: "No camera was found. Connect one, and start again.",
  NotReadableError:
    "The camera is used by another program, or does not answer. Close the other program, and start again.",
  OverconstrainedError: "The camera has no picture of a usable size.",
};

/** Return the stream of a camera. @returns {Promise<MediaStream>} */
export async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Problem("This page gets no camera: browsers offer it to pages from https or localhost only.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 } },
      audio: false,
    });
  } catch (error) {
    throw new Problem(REASONS[error.name] ?? `The camera cannot be used (${error.name}).`);
  }
}

/** Finds people in pictures. */
export class PoseModel {
  /** @param {import("../engine/engine.js").Engine} engine @param {import("./kinds.js").PoseKind} kind @param {string} name */
  constructor(engine, kind, name) {
    Object.assign(this, { engine, kind, name, box: null, next: 1 });
    this.people = new Map();
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width: kind.width, height: kind.height });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /**
   * @param {import("../engine/engine.js").Engine} engine
   * @param {Uint8Array} bytes
   * @param {string} name
   */
  static async load(engine, bytes, name) {
    const { session, ...about } = await engine.open(bytes);
    let kind;
    try {
      kind = kindOf(about);
    } catch (error) {
      await engine.close(session);
      throw error;
    }
    await engine.rename(session, "pose");
    return new PoseModel(engine, kind, name);
  }

  /** Forget who was seen. */
  forget() {
    this.people.clear();
    Object.assign(this, { box: null, next: 1 });
  }

  /**
   * Return the people in the present picture of a video: who they are, and their joints (V, 2), NaN where they are uncertain.
   * @param {HTMLVideoElement} video
   * @param {number} time in seconds
   */
  async find(video, time) {
    const whole = { x: 0, y: 0, width: video.videoWidth, height: video.videoHeight };
    const part = cut(this.kind.kind === "simcc" ? (this.box ?? whole) : whole, this.kind);
    const { width, height } = this.kind;
    this.context.fillStyle = GREY;
    this.context.fillRect(0, 0, width, height);
    const scale = width / part.width;
    this.context.drawImage(video, -part.x * scale, -part.y * scale, whole.width * scale, whole.height * scale);
    const data = tensorOf(this.context.getImageData(0, 0, width, height).data, this.kind.kind);
    const { outputs, ms } = await this.engine.run(
      "pose",
      this.kind.input,
      data,
      [1, 3, height, width],
      this.kind.outputs,
    );
    const poses = posesOf(this.kind, outputs)
      .filter(({ score }) => score >= LEAST_MEAN)
      .map((pose) => ({ ...pose, points: inVideo(pose.points, part, this.kind) }));
    this.box = poses.length ? boxOf(poses[0].points, poses[0].confidence, LOWEST) : null;
    return { people: this.tracked(poses.map(certain), time), ms };
  }

  /** Give each body the number of the person who was nearest, and smooth it. */
  tracked(bodies, time) {
    for (const [name, { seen }] of this.people) if (time - seen > LOST_S) this.people.delete(name);
    const known = new Map([...this.people].map(([name, { position }]) => [name, position]));
    const positions = bodies.map((joints) => positionOf(joints, 2, 0));
    const names = assign(
      positions,
      bodies.map((joints) => STEP * sizeOf(joints, 2)),
      known,
    );
    return bodies.map((joints, index) => {
      const name = names[index] ?? this.next++;
      if (!this.people.has(name)) this.people.set(name, { filter: new OneEuro(SMOOTH) });
      const person = this.people.get(name);
      Object.assign(person, { position: positions[index], seen: time });
      return { name, joints: person.filter.filter(time, joints) };
    });
  }
}

/** Return the joints of a pose, NaN where they are uncertain. */
function certain({ points, confidence }) {
  return points.map((value, at) => (confidence[at >> 1] >= LOWEST ? value : NaN));
}
