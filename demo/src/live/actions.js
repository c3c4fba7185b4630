// From probabilities over time to the starts and ends of actions, as `last.live.actions` decides them.

export const NONE = -1; // no action

/** @typedef {{starts: boolean, action: number, began: number, time: number, probability: number}} Change */

/** What one person does, decided with hysteresis from smoothed probabilities. */
export class ActionState {
  /**
   * @param {Float32Array} thresholds (K,) probabilities at which an action starts
   * @param {import("./settings.js").LiveSettings} settings
   */
  constructor(thresholds, settings) {
    Object.assign(this, {
      thresholds,
      settings,
      updated: -Infinity,
      candidate: NONE,
      aboveSince: 0,
      belowSince: null,
    });
    /** @type {Float32Array | null} */
    this.smoothed = null;
    this.action = NONE;
    this.began = 0;
  }

  /**
   * Take the probabilities (K,) at a time, not before the last one, and return what changes by them.
   * @param {number} time
   * @param {Float32Array} probabilities
   * @returns {Change[]}
   */
  update(time, probabilities) {
    this.smooth(time, probabilities);
    const best = this.best();
    if (best !== this.candidate) [this.candidate, this.aboveSince] = [best, time];
    const changes = this.action === NONE ? [] : this.ended(time);
    if (this.action === NONE && best !== NONE && time - this.aboveSince >= this.settings.onset) {
      [this.action, this.began, this.belowSince] = [best, this.aboveSince, null];
      changes.push({ starts: true, action: best, began: this.began, time, probability: this.smoothed[best] });
    }
    return changes;
  }

  smooth(time, probabilities) {
    if (this.smoothed === null || this.settings.smoothing === 0) {
      this.smoothed = probabilities.slice();
    } else {
      const weight = Math.fround(1 - Math.exp(-(time - this.updated) / this.settings.smoothing));
      this.smoothed = this.smoothed.map(
        (old, number) => old + Math.fround(weight * Math.fround(probabilities[number] - old)),
      );
    }
    this.updated = time;
  }

  best() {
    let found = NONE;
    this.smoothed.forEach((value, number) => {
      if (value >= this.thresholds[number] && (found === NONE || value > this.smoothed[found])) found = number;
    });
    return found;
  }

  ended(time) {
    const { release, offset, onset } = this.settings;
    const isLow = this.smoothed[this.action] < release * this.thresholds[this.action];
    this.belowSince = isLow ? (this.belowSince ?? time) : null;
    const low = this.belowSince !== null && time - this.belowSince >= offset;
    const other = ![NONE, this.action].includes(this.candidate) && time - this.aboveSince >= onset;
    return low || other ? [this.stop(time)] : [];
  }

  /** End the present action and return that change. @param {number} time @returns {Change} */
  stop(time) {
    const probability = this.smoothed === null ? 0 : this.smoothed[this.action];
    const change = { starts: false, action: this.action, began: this.began, time, probability };
    [this.action, this.belowSince] = [NONE, null];
    return change;
  }
}
