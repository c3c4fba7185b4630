// Reads files in a worker, while the page goes on, and says so where it takes long.

import { counted, Problem, shown } from "../core/problem.js";
import { byId, write } from "./dom.js";
import { tell } from "./messages.js";

const QUICK_MS = 300; // a file that is read sooner needs no word

export class Reading {
  /** @param {string} address of the worker's program */
  constructor(address) {
    Object.assign(this, { address, stop: null });
    byId("reading-cancel").addEventListener("click", () => {
      tell("Reading was cancelled.");
      this.cancel();
    });
  }

  /**
   * Return the recording in some files; null if that is cancelled, as it is where other files are read after them.
   * @param {File[]} files
   * @returns {Promise<import("../core/recording.js").Recording | null>}
   */
  read(files) {
    this.cancel();
    const others = files.length > 1 ? ` and ${counted(files.length - 1, "other file")}` : "";
    const announced = setTimeout(() => this.show(`Reading ${shown(files[0].name)}${others}…`), QUICK_MS);
    return new Promise((resolve, reject) => {
      const worker = new Worker(this.address, { type: "module" });
      const stop = (this.stop = () => {
        clearTimeout(announced);
        worker.terminate(); // which also frees its memory
        if (this.stop === stop) this.hide();
        resolve(null);
      });
      const failed = (error) => {
        reject(error);
        stop();
      };
      worker.onmessage = ({ data: { recording, problem, defect } }) => {
        if (!recording) return failed(problem ? new Problem(problem) : new Error(defect));
        resolve(recording);
        return stop();
      };
      worker.onerror = (event) => {
        event.preventDefault();
        const reason = event.message || "it cannot be loaded";
        failed(new Problem(`The reader of files has failed (${shown(reason, 100)}). Reload the page.`));
      };
      worker.postMessage(files);
    });
  }

  /** Give up what is being read. */
  cancel() {
    this.stop?.();
  }

  show(text) {
    byId("reading").hidden = false;
    write(byId("reading-text"), text);
    tell(text);
  }

  hide() {
    this.stop = null;
    if (document.activeElement === byId("reading-cancel")) byId("open-recording").focus();
    byId("reading").hidden = true;
  }
}
