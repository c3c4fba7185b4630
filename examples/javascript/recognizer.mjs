// Classify recordings with a file that `python -m last export --out model.onnx` wrote, and with model.json beside it.
//
// A recording is [bodies][frames][joints][coordinates], as recorded. A missing coordinate, joint or frame of a body is
// null (or NaN); a body is absent from a frame in which all its coordinates are missing or 0.

const FORMAT = "last-recognizer";
const FORMAT_VERSION = 2;
const FARTHEST = 1e6;
const NO_BODY = "No body is present in any frame of the recording: there is nothing to recognise.";

/** Return the recording in a JSON text, in which Python may have written NaN, which JSON does not have. */
export function parseRecording(text) {
  return JSON.parse(text.replace(/\bNaN\b/g, "null"));
}

/** Return what the file takes, {data, dims}: the first bodies that are present, and NaN for what is missing. */
export function inputOf(recording, facts) {
  const [, bodies, , joints, coordinates] = facts.input.shape;
  const { name } = facts.layout;
  const form = `this model takes [bodies][frames][${joints} joints][${coordinates} coordinates] of the layout ${name}`;
  const listed = (value, length, what) => {
    if (value === null && length !== undefined) return new Array(length).fill(null);
    if (!Array.isArray(value)) throw new Error(`${what} is not a list; ${form}.`);
    if (length !== undefined && value.length !== length) throw new Error(`${what} has ${value.length}; ${form}.`);
    return value;
  };
  const number = (value) => {
    if (value === null) return NaN;
    if (typeof value !== "number") throw new Error(`A coordinate is ${JSON.stringify(value)}, not a number; ${form}.`);
    if (Math.abs(value) > FARTHEST) throw new Error(`Coordinates should be up to ${FARTHEST}, and null if missing.`);
    return value;
  };
  const given = listed(recording, undefined, "The recording").map((body) => listed(body, undefined, "A body"));
  const frames = given.length ? given[0].length : 0;
  if (given.some((body) => body.length !== frames)) throw new Error(`Bodies differ in their frames; ${form}.`);
  const present = given
    .map((body) => body.flatMap((frame) => listed(frame, joints, "A frame")))
    .map((body) => body.flatMap((joint) => listed(joint, coordinates, "A joint").map(number)))
    .filter((values) => values.some((value) => value !== 0 && !Number.isNaN(value)));
  if (present.length === 0) throw new Error(NO_BODY);
  const data = new Float32Array(bodies * frames * joints * coordinates).fill(NaN);
  present.slice(0, bodies).forEach((values, body) => data.set(values, body * values.length));
  return { data, dims: [1, bodies, frames, joints, coordinates] };
}

/** Return {label, probability} of every class, the most probable first. */
export function ranked(probabilities, classes) {
  const pairs = classes.map((label, number) => ({ label, probability: probabilities[number] }));
  return pairs.sort((one, other) => other.probability - one.probability);
}

/** An exported model that is ready to classify recordings; `await Recognizer.load(...)` makes one. */
export class Recognizer {
  constructor(ort, session, facts) {
    Object.assign(this, { ort, session, facts });
  }

  /** Open a model: `ort` is onnxruntime-node or onnxruntime-web, `bytes` the .onnx file, `facts` the parsed .json. */
  static async load(ort, bytes, facts) {
    if (facts.format !== FORMAT || facts.format_version !== FORMAT_VERSION) {
      throw new Error(`The .json is not the description of a model of version ${FORMAT_VERSION}. Export it again.`);
    }
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const checksum = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (!facts.exported.some(({ files }) => Object.values(files).includes(checksum))) {
      throw new Error("The .onnx and the .json are not of the same export, or one was changed. Copy both again.");
    }
    return new Recognizer(ort, await ort.InferenceSession.create(bytes), facts);
  }

  /** Return {label, probability} of every class for a recording, the most probable first. */
  async predict(recording) {
    const { data, dims } = inputOf(recording, this.facts);
    const outputs = await this.session.run({ joints: new this.ort.Tensor("float32", data, dims) });
    const probabilities = outputs.probabilities.data;
    if (Number.isNaN(probabilities[0])) throw new Error(NO_BODY);
    return ranked(probabilities, this.facts.classes);
  }
}

/** The last frames of a live stream, of which every few are classified. */
export class RollingWindow {
  /** Keep `frames` frames, and classify after every `every` further ones. */
  constructor(recognizer, frames, every) {
    Object.assign(this, { recognizer, frames, every, kept: [], since: 0, busy: false });
  }

  /** Add a frame, [bodies][joints][coordinates]; return a prediction, or null if none is due or nobody is there. */
  async push(frame) {
    this.kept = [...this.kept, frame].slice(-this.frames);
    this.since += 1;
    if (this.kept.length < this.frames || this.since < this.every || this.busy) return null;
    const bodies = Math.max(...this.kept.map((each) => each.length));
    const recording = Array.from({ length: bodies }, (_, body) => this.kept.map((each) => each[body] ?? null));
    [this.since, this.busy] = [0, true];
    try {
      return await this.recognizer.predict(recording);
    } catch (error) {
      if (error.message === NO_BODY) return null;
      throw error;
    } finally {
      this.busy = false;
    }
  }
}
