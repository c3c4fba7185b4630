// NumPy's `.npy` of float32.

const ALIGNED = 64;

/**
 * Return an array as the content of a file.
 * @param {Float32Array} values
 * @param {number[]} shape
 * @returns {Uint8Array}
 */
export function npyOf(values, shape) {
  const listed = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const facts = `{'descr': '<f4', 'fortran_order': False, 'shape': (${listed}), }`;
  const length = Math.ceil((10 + facts.length + 1) / ALIGNED) * ALIGNED;
  const bytes = new Uint8Array(length + 4 * values.length);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, (length - 10) & 0xff, (length - 10) >> 8]);
  bytes.set(new TextEncoder().encode(facts.padEnd(length - 11) + "\n"), 10);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setFloat32(length + 4 * index, value, true));
  return bytes;
}
