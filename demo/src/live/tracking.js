// Who is who in a stream that does not say: each body is the one that was nearest before, as `last.live.tracking`.
// Legend: V joints, C coordinates.

/** Return where a body (V, C) is: its central joint, or the mean of its joints where that is missing. */
export function positionOf(joints, coordinates, center) {
  const central = Array.from(joints.subarray(center * coordinates, (center + 1) * coordinates));
  if (!central.some(Number.isNaN)) return central;
  const sums = new Array(coordinates).fill(0);
  let measured = 0;
  for (let joint = 0; joint < joints.length; joint += coordinates) {
    if (Number.isNaN(joints[joint])) continue;
    measured += 1;
    for (let axis = 0; axis < coordinates; axis++) sums[axis] += joints[joint + axis];
  }
  return sums.map((sum) => (measured ? sum / measured : NaN));
}

/** Return the largest extent of the measured joints of a body (V, C) along an axis, 0 without any. */
export function sizeOf(joints, coordinates) {
  let largest = 0;
  for (let axis = 0; axis < coordinates; axis++) {
    let [low, high] = [Infinity, -Infinity];
    for (let at = axis; at < joints.length; at += coordinates) {
      if (Number.isNaN(joints[at])) continue;
      low = Math.min(low, joints[at]);
      high = Math.max(high, joints[at]);
    }
    if (high > low) largest = Math.max(largest, high - low);
  }
  return largest;
}

const distance = (one, other) => Math.hypot(...one.map((value, axis) => value - other[axis]));

/**
 * Return, for each body of a frame, the name of the known body that it is, the nearest pairs first; null for a new one.
 * @param {number[][]} positions of the bodies of the frame
 * @param {number[]} limits the largest distance of each
 * @param {Map<any, number[]>} known the last positions of the known bodies
 * @param {Map<any, number>} reach their largest distances, which count where they are larger
 */
export function assign(positions, limits, known, reach = new Map()) {
  const found = new Array(positions.length).fill(null);
  const pairs = positions.flatMap((position, body) =>
    [...known].map(([name, at]) => ({ apart: distance(position, at), body, name })),
  );
  for (const { apart, body, name } of pairs.sort((one, other) => one.apart - other.apart)) {
    const limit = Math.max(limits[body], reach.get(name) ?? 0);
    if (apart <= limit && found[body] === null && !found.includes(name)) found[body] = name;
  }
  return found;
}

/**
 * Return the partner of each body that is another one's nearest and has it as its own nearest.
 * @param {Map<any, number[]>} positions of the bodies
 * @param {Map<any, number>} limits the largest distance of a partner of each
 */
export function mutualPairs(positions, limits) {
  const nearest = new Map();
  for (const [body, position] of positions) {
    let best = limits.get(body);
    for (const [other, at] of positions) {
      const apart = distance(position, at);
      const isBetter = nearest.has(body) ? apart < best : apart <= best;
      if (other !== body && isBetter) {
        nearest.set(body, other);
        best = apart;
      }
    }
  }
  return new Map([...nearest].filter(([body, other]) => nearest.get(other) === body));
}
