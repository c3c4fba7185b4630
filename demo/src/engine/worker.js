// Runs models with ONNX Runtime in a thread of its own, so that the page stays fluent.

import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.numThreads = 1; // more would need special headers of the server
ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", self.location.href).href };
ort.env.logLevel = "error";

/** @type {Map<string, ort.InferenceSession>} */
const sessions = new Map();

/** Open a model in the place of the one of the same name; return the names and shapes of its inputs and outputs. */
async function open({ name, bytes }) {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  await sessions.get(name)?.release();
  sessions.set(name, session);
  const about = (all) => all.map((each) => ({ name: each.name, type: each.type, shape: each.shape }));
  return { inputs: about(session.inputMetadata), outputs: about(session.outputMetadata) };
}

/** Give the open model another name, in the place of the one that has it. */
async function rename({ name, to }) {
  await sessions.get(to)?.release();
  sessions.set(to, sessions.get(name));
  sessions.delete(name);
}

async function close({ name }) {
  await sessions.get(name)?.release();
  sessions.delete(name);
}

async function run({ name, input, data, dims, outputs }) {
  const session = sessions.get(name);
  const began = performance.now();
  const found = await session.run({ [input]: new ort.Tensor("float32", data, dims) }, outputs);
  const values = Object.entries(found).map(([key, tensor]) => [
    key,
    { data: tensor.data.slice(), dims: [...tensor.dims] },
  ]);
  return { ms: performance.now() - began, outputs: Object.fromEntries(values) };
}

const ACTS = { open, rename, close, run };

self.onmessage = async ({ data: { id, act, given } }) => {
  try {
    self.postMessage({ id, result: await ACTS[act](given) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
