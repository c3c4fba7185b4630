// The page's side of the worker that runs models.

import { Problem, shown } from "../core/problem.js";
import { checkedFacts, refuseOther } from "./facts.js";

// A module with an instruction of SIMD, which ONNX Runtime needs.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);
const INPUT = "joints";
const OUTPUT = "probabilities";

/** Refuse a browser that cannot run models; the rest of the page works there. */
export function refuseOldBrowser() {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD)) {
    throw new Problem(
      "This browser has no WebAssembly with SIMD, so it can play recordings but not recognise them. " +
        "Use a version from 2023 or later of Firefox, Chrome, Edge or Safari.",
    );
  }
}

/** Runs models in a worker. */
export class Engine {
  /** @param {string} address of the worker's program */
  constructor(address) {
    this.waiting = new Map();
    this.number = 0;
    this.opened = 0;
    this.failure = "";
    this.worker = new Worker(address, { type: "module" });
    this.worker.onmessage = ({ data }) => this.answered(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.failure = event.message || "its program could not be loaded";
      for (const id of [...this.waiting.keys()])
        this.answered({ id, error: this.failure });
    };
  }

  answered({ id, result, error }) {
    const { resolve, reject } = this.waiting.get(id) ?? {};
    this.waiting.delete(id);
    if (error === undefined) resolve?.(result);
    else reject?.(new Problem(`The runtime of models reports: ${shown(error, 200)}`));
  }

  /** @param {string} act @param {any} given @param {Transferable[]} [moved] @returns {Promise<any>} */
  call(act, given, moved = []) {
    return new Promise((resolve, reject) => {
      this.number += 1;
      this.waiting.set(this.number, { resolve, reject });
      if (this.failure) this.answered({ id: this.number, error: this.failure });
      this.worker.postMessage({ id: this.number, act, given }, moved);
    });
  }

  /**
   * Open a model of any kind; return its session, and its inputs and outputs.
   * @param {Uint8Array} bytes
   */
  async open(bytes) {
    this.opened += 1;
    const session = `opened ${this.opened}`; // of its own, since several models may be opened at the same time
    const about = await this.call("open", { name: session, bytes }).catch((error) => {
      throw this.failure ? error : new Problem(`It is no ONNX model that runs here, or it is damaged. ${error.message}`);
    });
    return { session, ...about };
  }

  /** Forget an open model. @param {string} name */
  close(name) {
    return this.call("close", { name });
  }

  /** @param {string} name @param {string} to */
  rename(name, to) {
    return this.call("rename", { name, to });
  }

  /**
   * Run an open model; the data are moved to the worker.
   * @param {string} name
   * @param {string} input
   * @param {Float32Array} data
   * @param {number[]} dims
   * @param {string[]} outputs
   * @returns {Promise<{ms: number, outputs: Record<string, {data: Float32Array, dims: number[]}>}>}
   */
  run(name, input, data, dims, outputs) {
    return this.call("run", { name, input, data, dims, outputs }, [data.buffer]);
  }
}

/** A student that is ready to classify. */
export class Student {
  /** @param {Engine} engine @param {any} facts @param {string} name @param {string} session */
  constructor(engine, facts, name, session) {
    Object.assign(this, { engine, facts, name, session });
  }

  /**
   * Open a student; the one before goes on until this one is ready.
   * @param {Engine} engine
   * @param {Uint8Array} bytes of the .onnx
   * @param {any} description the content of the .json
   * @param {string} name
   */
  static async load(engine, bytes, description, name) {
    const facts = checkedFacts(description);
    await refuseOther(bytes, facts);
    const { session, inputs, outputs } = await engine.open(bytes);
    if (!inputs.some((each) => each.name === INPUT) || !outputs.some((each) => each.name === OUTPUT)) {
      await engine.close(session);
      throw new Problem(
        "The .onnx is not a model that LAST exported: it has no input `joints` and output `probabilities`.",
      );
    }
    await engine.rename(session, "student");
    return new Student(engine, facts, name, "student");
  }

  /**
   * Return the probabilities (K,) of what was given, NaN if nobody is there, and the milliseconds that it took.
   * @param {{data: Float32Array, dims: number[]}} input
   */
  async classify({ data, dims }) {
    const { ms, outputs } = await this.engine.run(this.session, INPUT, data, dims, [OUTPUT]);
    return { ms, probabilities: outputs[OUTPUT].data };
  }
}
