// "Find all": the events of a whole recording, as fast as they can be computed.

import { counted, Problem } from "../core/problem.js";
import { Driver } from "../live/driver.js";
import { byId, write } from "./dom.js";
import { guarded, showProblem, tell } from "./messages.js";

const WAITING = 8; // windows
const BREATH = 500; // frames after which the page has a turn

export class EventSearch {
  /**
   * @param {import("./recognition.js").Recognition} recognition
   * @param {() => import("./playback.js").Playback | null} playback what is shown at present; null for a camera
   */
  constructor(recognition, playback) {
    Object.assign(this, { recognition, playback, run: null });
    byId("find-events").addEventListener(
      "click",
      guarded(() => (this.run ? this.stop() : this.find())),
    );
  }

  stop() {
    this.run = null;
  }

  /** @param {boolean} isPossible whether what is shown can be searched */
  allow(isPossible) {
    byId("find-events").disabled = !isPossible;
    this.stop();
  }

  async find() {
    const playback = this.playback();
    if (!playback?.fit) throw new Problem("Open a recording that the model can recognise first.");
    const run = (this.run = {});
    try {
      const events = await this.search(playback, run);
      if (this.run !== run) return;
      this.recognition.replace(events, playback);
      const count = this.recognition.timeline.spans.length;
      tell(`${counted(count, "event")} ${count === 1 ? "was" : "were"} found.`);
    } finally {
      if (this.run === run) this.run = null;
      if (!this.run) write(byId("find-events"), "Find all");
    }
  }

  /** Return the events of a recording, as far as the run goes on. */
  async search(playback, run) {
    const events = [];
    const onFailure = (error) => {
      showProblem(error);
      this.stop();
    };
    const listeners = { onEvent: (event) => events.push(event), onFailure };
    const driver = new Driver(this.recognition.student, {}, listeners);
    const { frames } = playback.recording;
    for (let frame = 0; frame < frames && this.run === run; frame++) {
      driver.push(playback.bodiesAt(frame), playback.ids, frame / playback.fps);
      if (frame % BREATH === BREATH - 1) await new Promise((resolve) => setTimeout(resolve)); // where nobody is seen
      if (driver.waiting.length < WAITING) continue;
      await driver.settled();
      if (this.run === run) write(byId("find-events"), `Stop (${((100 * frame) / frames).toFixed(0)} %)`);
    }
    await driver.settled();
    driver.finish();
    return events;
  }
}
