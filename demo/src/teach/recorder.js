// Takes the frames of one person while a clip is recorded, at the rate of their times.

const LONGEST_S = 20;
const ENOUGH = 0.6; // of the wanted length, where a recording begins again
const FIRST_S = 0.1; // a clip that began before this time of a recording is all of it

export class Recorder {
  /** @param {number} seconds of a clip */
  constructor(seconds) {
    Object.assign(this, { seconds: Math.min(seconds, LONGEST_S), frames: [], times: [], person: null });
  }

  /**
   * Take a frame: the first person who was seen when it began, while they are there.
   * @param {Float32Array[]} bodies
   * @param {any[]} ids
   * @param {number} time in seconds; if it goes back, as where a recording begins again, the clip is complete, or begins
   *   again if it is short
   * @returns {boolean} whether the clip is complete
   */
  take(bodies, ids, time) {
    if (this.times.length && time < this.times.at(-1)) {
      if (this.share >= ENOUGH || this.times[0] <= FIRST_S) return true;
      Object.assign(this, { frames: [], times: [], person: null });
    }
    const there = bodies.findIndex(
      (joints, index) =>
        joints.some((value) => !Number.isNaN(value)) && (this.person === null || ids[index] === this.person),
    );
    if (there >= 0) {
      this.person = ids[there];
      this.frames.push(bodies[there].slice());
      this.times.push(time);
    }
    return this.times.length > 0 && time - this.times[0] >= this.seconds;
  }

  /** Share of the clip that is recorded, from 0 to 1. */
  get share() {
    return this.times.length ? Math.min((this.times.at(-1) - this.times[0]) / this.seconds, 1) : 0;
  }

  /** @returns {import("./collection.js").TaughtClip} */
  get clip() {
    const span = this.times.length > 1 ? this.times.at(-1) - this.times[0] : 0;
    return { frames: this.frames, fps: span > 0 ? Math.round(((this.times.length - 1) / span) * 1000) / 1000 : 30 };
  }
}
