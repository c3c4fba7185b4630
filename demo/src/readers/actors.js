// Which tracked bodies of a depth camera are people, by the rules of `last.data.preparation.clean`, at most two of them.

const LONGEST_NOISE_FRAMES = 11;
const NOISY_WIDTH_TO_HEIGHT = 0.8;
const NOISY_FRAME_SHARE = 0.69754;
const MOST_ACTORS = 2;

/** @typedef {{id: string, frames: number[], joints: number[][], states: number[][]}} Track joints are (V * 3) a frame */

function extent(points, axis) {
  let [low, high] = [Infinity, -Infinity];
  for (let at = axis; at < points.length; at += 3) {
    low = Math.min(low, points[at]);
    high = Math.max(high, points[at]);
  }
  return high - low;
}

const isNoisy = (points) => extent(points, 0) > NOISY_WIDTH_TO_HEIGHT * extent(points, 1);

/** Return the variance of all joint positions, summed over the coordinates. @param {number[][]} frames */
function variance(frames) {
  const [sums, squares] = [
    [0, 0, 0],
    [0, 0, 0],
  ];
  let count = 0;
  for (const points of frames) {
    for (let at = 0; at < points.length; at++) {
      sums[at % 3] += points[at];
      squares[at % 3] += points[at] ** 2;
    }
    count += points.length / 3;
  }
  return sums.reduce((total, sum, axis) => total + squares[axis] / count - (sum / count) ** 2, 0);
}

/** @param {Track} track */
function motionOf(track) {
  const clean = track.joints.filter((points) => !isNoisy(points));
  const motion = variance(track.joints);
  return clean.length ? Math.min(motion, variance(clean)) : motion;
}

/** @param {Track[]} tracks @param {(track: Track) => boolean} isRefused */
function without(tracks, isRefused) {
  if (tracks.length < 2) return tracks;
  const kept = tracks.filter((track) => !isRefused(track));
  return kept.length ? kept : tracks.slice(-1);
}

/** @param {Track} track @returns {Track} without the frames of zeros alone */
function present(track) {
  const kept = track.joints.map((points) => points.some((value) => value !== 0));
  const where = (values) => values.filter((_, index) => kept[index]);
  return { id: track.id, frames: where(track.frames), joints: where(track.joints), states: where(track.states) };
}

/**
 * Return the tracks of each actor, and whether there are more than are kept.
 * @param {Track[]} tracks
 * @returns {{actors: Track[][], hasMore: boolean}}
 */
export function actorsOf(tracks) {
  let ordered = tracks.map(present).filter((track) => track.frames.length);
  const byId = (one, other) => (BigInt(one.id) < BigInt(other.id) ? -1 : 1);
  ordered.sort((one, other) => one.frames[0] - other.frames[0] || byId(one, other));
  ordered = without(ordered, (track) => track.frames.length <= LONGEST_NOISE_FRAMES);
  ordered = without(ordered, (track) => track.joints.filter(isNoisy).length / track.joints.length >= NOISY_FRAME_SHARE);
  if (ordered.length > 1) {
    const motions = new Map(ordered.map((track) => [track, motionOf(track)]));
    ordered.sort((one, other) => motions.get(other) - motions.get(one));
  }
  const actors = [];
  let hasMore = false;
  for (const track of ordered) {
    const [first, last] = [track.frames[0], track.frames.at(-1)];
    const free = actors.find((actor) => !(first <= actor.last && actor.first <= last));
    if (free) {
      free.parts.push(track);
      [free.first, free.last] = [Math.min(free.first, first), Math.max(free.last, last)];
    } else if (actors.length < MOST_ACTORS) {
      actors.push({ parts: [track], first, last });
    } else hasMore = true;
  }
  return { actors: actors.map(({ parts }) => parts), hasMore };
}
