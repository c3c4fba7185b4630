// A recording that plays: time, speed, and the controls for them.

import { bodyAt, isPresent, rateOf } from "../core/recording.js";
import { byId, clock, write } from "./dom.js";
import { sceneOf } from "./scene.js";

const MOST_STEP_S = 0.25; // of a page that was not shown for longer
const CONTEXT_S = 2; // frames before the one that was jumped to, which are given to the student

/** A recording, drawn in its own layout and given to the student in its. */
export class Playback {
  /**
   * @param {import("../core/recording.js").Recording} recording
   * @param {import("../core/layouts.js").Layout} layout in which it is drawn
   * @param {import("../core/recording.js").Recording | null} fit the same in the layout of the student; null if it does not fit
   */
  constructor(recording, layout, fit) {
    Object.assign(this, {
      recording,
      layout,
      fit,
      scene: sceneOf(recording),
      position: 0,
      given: -1,
      isPlaying: false,
      speed: 1,
    });
    this.ids = Array.from({ length: recording.bodies }, (_, body) => body + 1);
    this.fps = rateOf(recording);
    this.duration = recording.frames / this.fps;
  }

  get frame() {
    return Math.min(Math.floor(this.position), this.recording.frames - 1);
  }

  get time() {
    return this.frame / this.fps;
  }

  /**
   * Go on by some seconds; return the frames that were passed, and whether the end was reached.
   * @param {number} seconds
   */
  advance(seconds) {
    if (!this.isPlaying) return { passed: [], ended: false };
    this.position += Math.min(seconds, MOST_STEP_S) * this.speed * this.fps;
    const ended = this.position >= this.recording.frames;
    if (ended) this.position = this.recording.frames - 1e-3;
    const passed = [];
    for (let frame = this.given + 1; frame <= this.frame; frame++) passed.push(frame);
    this.given = this.frame;
    return { passed, ended };
  }

  /** Jump; return the frames before it that the student has to see. @param {number} frame */
  seek(frame) {
    this.position = Math.min(Math.max(frame, 0), this.recording.frames - 1);
    this.given = this.frame;
    const first = Math.max(0, this.frame - Math.ceil(CONTEXT_S * this.fps));
    return Array.from({ length: this.frame - first + 1 }, (_, index) => first + index);
  }

  /** Begin again from the first frame. */
  rewind() {
    this.position = 0;
    this.given = -1;
  }

  /** Return the people of a frame as they are drawn. @param {number} frame */
  peopleAt(frame) {
    return this.ids
      .map((id, body) => ({ id, joints: bodyAt(this.recording, body, frame) }))
      .filter(({ joints }) => isPresent(joints));
  }

  /** Return the people between two frames, for a picture at the present position. */
  get peopleNow() {
    const share = this.position - this.frame;
    const people = this.peopleAt(this.frame);
    if (!this.isPlaying || share < 1e-3 || this.frame + 1 >= this.recording.frames) return people;
    return people.map(({ id, joints }) => {
      const next = bodyAt(this.recording, id - 1, this.frame + 1);
      return {
        id,
        joints: joints.map((value, at) => (Number.isNaN(next[at]) ? value : value + share * (next[at] - value))),
      };
    });
  }

  /** Return the bodies of a frame in the layout of the student. @param {number} frame */
  bodiesAt(frame) {
    return this.ids.map((_, body) => bodyAt(this.fit, body, frame));
  }
}

/** The controls of the recording that plays. */
export class Transport {
  /**
   * @param {{onPlay: (playing: boolean) => void, onSeek: (frame: number) => void, onSpeed: (speed: number) => void}}
   *   listeners
   */
  constructor(listeners) {
    Object.assign(this, { play: byId("play"), scrubber: byId("scrubber"), isPlaying: false });
    this.play.addEventListener("click", () => listeners.onPlay(!this.isPlaying));
    this.scrubber.addEventListener("input", () => listeners.onSeek(Number(this.scrubber.value)));
    byId("speed").addEventListener("change", () => listeners.onSpeed(Number(byId("speed").value)));
  }

  /** @param {boolean} isPlaying */
  setPlaying(isPlaying) {
    this.isPlaying = isPlaying;
    write(this.play, isPlaying ? "❚❚" : "▶");
    this.play.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  }

  /** @param {Playback | null} playback null for a camera, which has no end */
  show(playback) {
    const isRecording = playback !== null;
    for (const node of [this.play, this.scrubber, byId("speed")]) node.disabled = !isRecording;
    if (!isRecording) return;
    this.scrubber.max = String(playback.recording.frames - 1);
    this.scrubber.value = String(playback.frame);
    const text = `${clock(playback.time)} / ${clock(playback.duration)} s`;
    write(byId("time"), text);
    this.scrubber.setAttribute("aria-valuetext", text.replace("/", "of"));
  }
}
