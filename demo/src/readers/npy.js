// NumPy's `.npy`: an array (T, V, C) or (M, T, V, C) of floats.

import { Problem, shown } from "../core/problem.js";
import { recordingOf } from "../core/recording.js";

const MAGIC = "\x93NUMPY";
const SIZES = { "<f2": 2, "<f4": 4, "<f8": 8 };
const MOST_HEADER_BYTES = 1 << 16;

/** @type {Float32Array | null} */
let halves = null; // the number of every 16 bits

/** Return the number that 16 bits are as a float of half precision. @param {number} bits */
export function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Return whether a file begins as an array does. @param {Uint8Array} bytes */
export function isNpy(bytes) {
  return bytes.length > 10 && String.fromCharCode(...bytes.subarray(0, 6)) === MAGIC;
}

/**
 * Return the shape and the values of an array.
 * @param {Uint8Array} bytes
 * @returns {{shape: number[], values: Float32Array}}
 */
export function readArray(bytes) {
  if (!isNpy(bytes)) throw new Problem("It does not begin as a NumPy array (.npy) does.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isOld = bytes[6] === 1;
  const length = isOld ? view.getUint16(8, true) : view.getUint32(8, true);
  const start = (isOld ? 10 : 12) + length;
  if (length > MOST_HEADER_BYTES || start > bytes.length) throw new Problem("The array's header is damaged.");
  const header = new TextDecoder("latin1").decode(bytes.subarray(isOld ? 10 : 12, start));
  const type = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? "";
  const shape = (/'shape':\s*\(([^)]*)\)/.exec(header)?.[1] ?? "")
    .split(",")
    .filter((each) => each.trim())
    .map(Number);
  if (!SIZES[type])
    throw new Problem(`The array holds ${shown(type || "objects")}; save it as float16, float32 or float64.`);
  if (/'fortran_order':\s*True/.test(header)) {
    throw new Problem("The array is in the order of Fortran; save it with numpy.ascontiguousarray.");
  }
  const count = shape.reduce((product, each) => product * each, 1);
  if (!shape.every(Number.isSafeInteger) || bytes.length - start < count * SIZES[type]) {
    throw new Problem("The array is cut short: it has fewer numbers than its shape says.");
  }
  return { shape, values: numbers(bytes, start, count, type) };
}

function numbers(bytes, start, count, type) {
  const own = bytes.slice(start, start + count * SIZES[type]).buffer; // at a place where numbers may begin
  if (type === "<f4") return new Float32Array(own);
  if (type === "<f8") return new Float32Array(new Float64Array(own));
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => halfToNumber(bits));
  const values = new Float32Array(count);
  new Uint16Array(own).forEach((bits, at) => (values[at] = halves[bits]));
  return values;
}

/**
 * Return the recording in an array.
 * @param {string} name
 * @param {Uint8Array} bytes
 */
export function readNpy(name, bytes) {
  const { shape, values } = readArray(bytes);
  const [bodies, frames, joints, coordinates] = shape.length === 3 ? [1, ...shape] : shape;
  if (shape.length < 3 || shape.length > 4 || coordinates < 2 || coordinates > 3 || !(bodies * frames * joints)) {
    throw new Problem(
      `The array has the shape (${shape.join(", ")}); it should be (frames, joints, coordinates) or ` +
        "(bodies, frames, joints, coordinates), with 2 or 3 coordinates.",
    );
  }
  return recordingOf({ name, bodies, frames, joints, coordinates, data: values });
}
