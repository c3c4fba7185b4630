// From a picture to what a pose model takes, and back.

const MEAN = [123.675, 116.28, 103.53]; // of ImageNet, as RTMPose was trained with
const DEVIATION = [58.395, 57.12, 57.375];
const PADDING = 1.25; // of the box around a person

/** @typedef {{x: number, y: number, width: number, height: number}} Box in pixels of the video */

/**
 * Return the part of a video that becomes the model's input: with the same ratio of its sides, around a box.
 * @param {Box} box
 * @param {{width: number, height: number}} target
 * @returns {Box}
 */
export function cut(box, { width, height }) {
  const scale = Math.max(box.width / width, box.height / height);
  const [wide, high] = [width * scale, height * scale];
  return { x: box.x + (box.width - wide) / 2, y: box.y + (box.height - high) / 2, width: wide, height: high };
}

/**
 * Return the box around the joints of a person in which to look for them in the next picture; null if they are few.
 * @param {Float32Array} points (V, 2)
 * @param {Float32Array} confidence (V,)
 * @param {number} lowest
 * @returns {Box | null}
 */
export function boxOf(points, confidence, lowest) {
  const seen = [...confidence.keys()].filter((joint) => confidence[joint] >= lowest);
  if (seen.length < 4) return null;
  const axis = (offset) => seen.map((joint) => points[2 * joint + offset]);
  const [left, right, top, bottom] = [
    Math.min(...axis(0)),
    Math.max(...axis(0)),
    Math.min(...axis(1)),
    Math.max(...axis(1)),
  ];
  const [width, height] = [(right - left) * PADDING, (bottom - top) * PADDING];
  return { x: (left + right - width) / 2, y: (top + bottom - height) / 2, width, height };
}

/**
 * Return the pixels of a picture as a model takes them, (1, 3, height, width).
 * @param {Uint8ClampedArray} pixels RGBA
 * @param {"simcc" | "yolo" | "yolo_end"} kind
 */
export function tensorOf(pixels, kind) {
  const count = pixels.length / 4;
  const data = new Float32Array(3 * count);
  for (let channel = 0; channel < 3; channel++) {
    const [mean, deviation] = kind === "simcc" ? [MEAN[channel], DEVIATION[channel]] : [0, 255];
    for (let pixel = 0; pixel < count; pixel++)
      data[channel * count + pixel] = (pixels[4 * pixel + channel] - mean) / deviation;
  }
  return data;
}

/**
 * Return points of the model's input as points of the video.
 * @param {Float32Array} points (V, 2)
 * @param {Box} part of the video that was the input
 * @param {{width: number, height: number}} target
 */
export function inVideo(points, part, { width, height }) {
  return points.map((value, at) =>
    at % 2 ? part.y + (value * part.height) / height : part.x + (value * part.width) / width,
  );
}
