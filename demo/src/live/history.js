// The last frames of one person, in the order of their times, in memory of fixed size, as `last.live.frame_history`.
// Legend: F frames, V joints, C coordinates.

/** Return the first place in sorted times that is not before `time`. */
function placeOf(times, count, time) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A buffer of frames with their times. */
export class History {
  /**
   * @param {number} capacity the number of frames that are kept at least; twice as many have room
   * @param {number} joints V
   * @param {number} coordinates C
   */
  constructor(capacity, joints, coordinates) {
    Object.assign(this, { capacity, coordinates, size: joints * coordinates, count: 0 });
    this.times = new Float64Array(2 * capacity);
    this.joints = new Float32Array(2 * capacity * this.size);
  }

  /** The time of the newest frame, minus infinity without any. */
  get newest() {
    return this.count ? this.times[this.count - 1] : -Infinity;
  }

  /**
   * Add the joints (V, C) of a frame; return false for a second one of the same time, which is dropped.
   * @param {number} time
   * @param {Float32Array} joints
   */
  add(time, joints) {
    let place = placeOf(this.times, this.count, time);
    if (place < this.count && this.times[place] === time) return false;
    if (this.count === this.times.length) {
      const left = this.count - this.capacity;
      this.times.copyWithin(0, left);
      this.joints.copyWithin(0, left * this.size);
      this.count = this.capacity;
      place = Math.max(0, place - left);
    }
    this.times.copyWithin(place + 1, place, this.count);
    this.joints.copyWithin((place + 1) * this.size, place * this.size, this.count * this.size);
    this.times[place] = time;
    this.joints.set(joints, place * this.size);
    this.count += 1;
    return true;
  }

  /** Return the time and the joints (V, C) of the frame that is nearest in time; there has to be one. */
  nearest(time) {
    const after = placeOf(this.times, this.count, time);
    const isBefore =
      after === this.count || (after > 0 && time - this.times[after - 1] <= this.times[after] - time);
    const place = isBefore ? after - 1 : after;
    return [this.times[place], this.joints.subarray(place * this.size, (place + 1) * this.size)];
  }

  /**
   * Return the joints (F, V, C) at regular times from `start`, or the first frame after it, to `stop`. Between two frames
   * a joint is interpolated if both have it, and is that of the nearer frame otherwise. Where the nearest frame is further
   * away than `bridge` seconds all joints are NaN.
   * @param {number} start in seconds
   * @param {number} stop
   * @param {number} rate frames per second of the result
   * @param {number} bridge in seconds
   */
  resampled(start, stop, rate, bridge) {
    const begin = placeOf(this.times, this.count, start);
    const times = this.times.subarray(begin, this.count);
    if (!times.length) return new Float32Array(0);
    const number = Math.max(0, Math.floor((stop - times[0]) * rate + 1e-6) + 1);
    const result = new Float32Array(number * this.size).fill(NaN);
    for (let frame = 0; frame < number; frame++) {
      const at = stop - (number - 1 - frame) / rate;
      const after = times.length > 1 ? Math.min(Math.max(placeOf(times, times.length, at), 1), times.length - 1) : 0;
      const before = Math.max(after - 1, 0);
      const nearest = Math.min(Math.abs(at - times[before]), Math.abs(at - times[after]));
      if (nearest > Math.max(bridge, 1 / rate)) continue;
      const span = times[after] > times[before] ? times[after] - times[before] : 1;
      const share = Math.min(Math.max((at - times[before]) / span, 0), 1);
      this.mix(result, frame * this.size, (begin + before) * this.size, (begin + after) * this.size, share);
    }
    return result;
  }

  mix(result, to, before, after, share) {
    const weight = Math.fround(share);
    for (let value = 0; value < this.size; value++) {
      const [first, second] = [this.joints[before + value], this.joints[after + value]];
      const between = Math.fround(first + Math.fround(weight * Math.fround(second - first)));
      result[to + value] = Number.isNaN(between) ? (share < 0.5 ? first : second) : between;
    }
  }
}
