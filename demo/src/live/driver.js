// Gives frames to a stream and the due windows to the model, one after the other, while frames go on coming.

import { StreamRecognizer } from "./stream.js";

const MOST_WAITING = 40; // windows; older ones are left out where the model is too slow
const REMEMBERED = 60; // latencies

export class Driver {
  /**
   * @param {{classify: (input: any) => Promise<{ms: number, probabilities: Float32Array}>, facts: any}} student
   * @param {Partial<import("./settings.js").LiveSettings>} settings
   * @param {{onEvent: (event: any) => void, onFailure: (error: Error) => void}} listeners
   */
  constructor(student, settings, listeners) {
    Object.assign(this, { student, settings, listeners, latencies: [] });
    this.restart();
  }

  /** Forget everybody. What is being computed for them is not used. */
  restart() {
    this.stream = new StreamRecognizer(this.student.facts, this.settings);
    this.waiting = [];
    this.leftOut = 0;
  }

  /**
   * Take a frame.
   * @param {Float32Array[]} bodies
   * @param {any[] | null} ids
   * @param {number} time
   */
  push(bodies, ids, time) {
    const { events, due } = this.stream.accept(bodies, ids, time);
    events.forEach(this.listeners.onEvent);
    this.waiting.push(...due.map((window) => ({ ...window, asked: performance.now() })));
    const tooMany = Math.max(0, this.waiting.length - MOST_WAITING);
    this.leftOut += tooMany;
    this.waiting.splice(0, tooMany);
    this.work();
  }

  /** Wait until all that waits is computed. */
  async settled() {
    while (this.working || this.waiting.length) {
      this.work();
      await this.working;
    }
  }

  /** End the stream. */
  finish() {
    this.stream.finish().forEach(this.listeners.onEvent);
  }

  work() {
    if (this.waiting.length) this.working ??= this.workOn().finally(() => (this.working = null));
  }

  async workOn() {
    while (this.waiting.length) {
      const { name, time, asked, ...input } = this.waiting.shift();
      const { stream } = this;
      try {
        const { probabilities } = await this.student.classify(input);
        if (stream !== this.stream) continue;
        this.latencies.push(performance.now() - asked);
        if (this.latencies.length > REMEMBERED) this.latencies.shift();
        stream.decide(name, time, probabilities).forEach(this.listeners.onEvent);
      } catch (error) {
        this.waiting = [];
        this.listeners.onFailure(error);
      }
    }
  }

  /** The median time from a frame to what is known by it, in milliseconds; NaN before the first. */
  get latency() {
    const sorted = [...this.latencies].sort((one, other) => one - other);
    return sorted.length ? sorted[sorted.length >> 1] : NaN;
  }
}
