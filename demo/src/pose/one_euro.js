// The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012): smooth while a point rests, quick while it moves.

const smoothing = (cutoff, interval) => {
  const ratio = 2 * Math.PI * cutoff * interval;
  return ratio / (ratio + 1);
};

/** Filters some values over time; a value that is NaN begins anew when it is there again. */
export class OneEuro {
  /**
   * @param {{minCutoff?: number, beta?: number, derivativeCutoff?: number}} [settings] cut-off frequencies in Hz; `beta`
   *   is how much the cut-off grows with the speed, in units of the values a second
   */
  constructor({ minCutoff = 1, beta = 0, derivativeCutoff = 1 } = {}) {
    Object.assign(this, { minCutoff, beta, derivativeCutoff, time: null, values: null, speeds: null });
  }

  /**
   * Return the smoothed values at a time, in seconds.
   * @param {number} time
   * @param {ArrayLike<number>} values
   * @returns {Float32Array}
   */
  filter(time, values) {
    const interval = this.time === null ? 0 : time - this.time;
    if (this.values === null || this.values.length !== values.length || !(interval > 0)) {
      this.values ??= Float64Array.from(values);
      if (this.values.length !== values.length || interval < 0) this.values = Float64Array.from(values);
      this.speeds = new Float64Array(values.length);
    } else {
      for (let index = 0; index < values.length; index++) this.step(index, values[index], interval);
    }
    this.time = time;
    return Float32Array.from(this.values);
  }

  step(index, value, interval) {
    const before = this.values[index];
    if (Number.isNaN(value) || Number.isNaN(before)) {
      this.values[index] = value;
      this.speeds[index] = 0;
      return;
    }
    const speed = (value - before) / interval;
    const weight = smoothing(this.derivativeCutoff, interval);
    this.speeds[index] += weight * (speed - this.speeds[index]);
    const cutoff = this.minCutoff + this.beta * Math.abs(this.speeds[index]);
    this.values[index] = before + smoothing(cutoff, interval) * (value - before);
  }
}
