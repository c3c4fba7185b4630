// The student, what it sees, and what is shown of it: results, timeline and news.

import { shown } from "../core/problem.js";
import { Driver } from "../live/driver.js";
import { byId, percent, write } from "./dom.js";
import { showProblem, tell } from "./messages.js";
import { Results } from "./results.js";
import { Timeline } from "./timeline.js";

const SHOWN_EVERY_MS = 100;

export class Recognition {
  constructor() {
    this.results = new Results();
    this.timeline = new Timeline(() => this.list());
    this.student = null;
    this.driver = null;
    this.isQuiet = false; // while frames are given that were shown before
    this.shownAt = 0;
    this.severalPeople = false;
    this.hasBegun = false; // whether a frame was given
  }

  /**
   * Begin with another source or another student.
   * @param {import("../engine/engine.js").Student | null} student null if it does not fit the source
   * @param {number} duration in seconds
   * @param {boolean} severalPeople
   */
  begin(student, duration, severalPeople) {
    Object.assign(this, { student, severalPeople, hasBegun: false });
    const listeners = { onEvent: (event) => this.happened(event), onFailure: showProblem };
    this.driver = student && new Driver(student, {}, listeners);
    this.results.reset();
    this.timeline.clear(duration, student?.facts.classes ?? []);
  }

  /** Forget what people do, as where the time jumps. @param {number} time */
  jump(time) {
    this.timeline.close(time);
    this.driver?.restart();
  }

  /** End all that goes on. */
  finish() {
    this.driver?.finish();
  }

  /**
   * Take a frame in the layout of the student.
   * @param {Float32Array[]} bodies
   * @param {any[] | null} ids
   * @param {number} time
   */
  take(bodies, ids, time) {
    this.hasBegun = true;
    this.driver?.push(bodies, ids, time);
  }

  happened(event) {
    if (this.isQuiet) return;
    this.timeline.add(event);
    const label = shown(event.label);
    if (event.kind === "start") tell(this.severalPeople ? `Person ${event.body}: ${label}` : label);
  }

  /**
   * Show the events of a whole recording in the place of those that are known.
   * @param {any[]} events
   * @param {{duration: number, time: number}} playback
   */
  replace(events, { duration, time }) {
    this.timeline.clear(duration, this.student.facts.classes);
    this.timeline.add(...events);
    this.jump(time); // what is found while it plays on replaces these
  }

  list() {
    this.results.list(this.timeline.spans, this.severalPeople);
  }

  /** Show what is known now. @param {number} now in milliseconds */
  show(now) {
    if (now - this.shownAt < SHOWN_EVERY_MS) return;
    this.shownAt = now;
    this.results.update(this.driver?.stream.bodies ?? [], this.student?.facts.classes ?? [], this.hasBegun);
    const latency = this.driver?.latency ?? NaN;
    write(byId("latency"), Number.isNaN(latency) ? "– ms" : `${latency.toFixed(0)} ms`);
  }

  /** Return what each person does, by who it is. @returns {Map<any, string>} */
  get labels() {
    return new Map((this.driver?.stream.bodies ?? []).map(({ body, label }) => [body, label]));
  }

  /**
   * Classify a recording as a whole, and show the answer.
   * @param {{data: Float32Array, dims: number[]}} input
   */
  async whole(input) {
    const { student } = this;
    const { probabilities } = await student.classify(input);
    if (student !== this.student || Number.isNaN(probabilities[0])) return;
    const best = probabilities.indexOf(Math.max(...probabilities));
    const label = student.facts.classes[best];
    write(byId("whole"), `The whole clip: ${shown(label)}, ${percent(probabilities[best])}`);
    byId("whole").dataset.probability = String(probabilities[best]); // in full, for measurements
  }
}
