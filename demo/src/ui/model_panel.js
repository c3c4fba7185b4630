// The student that is open: what it is, and opening another one.

import { parse } from "../core/json.js";
import { counted, Problem, shown } from "../core/problem.js";
import { Student } from "../engine/engine.js";
import { byId, element, write } from "./dom.js";
import { tell } from "./messages.js";

const OWN = "The page's own: synthetic movements";
const MOST_LISTED = 500; // classes
const LARGEST_BYTES = 256 * 2 ** 20;

export class ModelPanel {
  /**
   * @param {import("../engine/engine.js").Engine} engine
   * @param {(student: Student) => void} onStudent
   */
  constructor(engine, onStudent) {
    Object.assign(this, { engine, onStudent, pending: {} });
  }

  /** Open the model that comes with the page. */
  async openOwn() {
    this.pending = {};
    const [bytes, facts] = await Promise.all([fetched("model.onnx"), fetched("model.json")]);
    this.use(await Student.load(this.engine, bytes, parse(facts), OWN));
    byId("own-model").hidden = true;
  }

  /**
   * Take files of a model, which may come one after the other.
   * @param {{name: string, size: number, arrayBuffer: () => Promise<ArrayBuffer>}[]} files .onnx, .json or both
   */
  async take(files) {
    for (const file of files) {
      const kind = file.name.toLowerCase().endsWith(".json") ? "facts" : "bytes";
      const content = new Uint8Array(await file.arrayBuffer());
      this.pending[kind] = { name: file.name, content: kind === "facts" ? describedBy(file.name, content) : content };
    }
    const { bytes, facts } = this.pending;
    if (!bytes || !facts) {
      write(
        byId("model-name"),
        `${shown((bytes ?? facts).name)} is here. Now open its ${bytes ? ".json" : ".onnx"} too.`,
      );
      tell(byId("model-name").textContent);
      byId("own-model").hidden = false;
      return;
    }
    this.pending = {};
    try {
      this.use(await Student.load(this.engine, bytes.content, facts.content, shown(bytes.name)));
      byId("own-model").hidden = false;
    } catch (error) {
      if (this.student) this.describe();
      throw error instanceof Problem ? new Problem(`${shown(bytes.name)}: ${error.message}`) : error;
    }
  }

  use(student) {
    this.student = student;
    this.describe();
    tell(`The model ${student.facts.model} is open.`);
    this.onStudent(student);
  }

  describe() {
    const { facts, name } = this.student;
    write(byId("model-name"), name);
    const rows = {
      Model: `${shown(facts.model)}, ${counted(Number(facts.parameters) || 0, "parameter")}`,
      Layout: `${shown(facts.layout.name)}, ${counted(facts.layout.joints.length, "joint")}`,
      Bodies: facts.input.shape[1] > 1 ? "one or two together" : "one",
      Trained: `on ${shown(facts.dataset)}, ${shown(String(facts.date ?? "").slice(0, 10))}`,
    };
    byId("model-facts").replaceChildren(
      ...Object.entries(rows).flatMap(([key, value]) => [element("dt", { text: key }), element("dd", { text: value })]),
    );
    const others = facts.classes.length - MOST_LISTED;
    const listed = facts.classes.slice(0, MOST_LISTED).map((each) => shown(each));
    write(byId("model-classes"), listed.join(", ") + (others > 0 ? ` and ${counted(others, "other")}` : ""));
    write(byId("model-count"), String(facts.classes.length));
    document.body.dataset.model = facts.model; // for tests
  }
}

/** @param {{name: string, size: number}} file */
export function refuseLargeModel({ name, size }) {
  const [mib, most] = [Math.ceil(size / 2 ** 20), LARGEST_BYTES / 2 ** 20];
  if (mib > most) throw new Problem(`${shown(name)} has ${mib} MiB; a model may have ${most} MiB here.`);
}

/** Return the description in a .json. @param {string} name @param {Uint8Array} content */
function describedBy(name, content) {
  try {
    return parse(content);
  } catch (error) {
    throw error instanceof Problem ? new Problem(`${shown(name)}: ${error.message}`) : error;
  }
}

/** Return a file of the page. @param {string} name */
export async function fetched(name) {
  let answer;
  try {
    answer = await fetch(name);
  } catch {
    throw new Problem(`${name} of the page cannot be loaded. Is its server still there? Reload the page when it is.`);
  }
  if (!answer.ok) throw new Problem(`${name} of the page is missing (status ${answer.status}). Build the page again.`);
  return new Uint8Array(await answer.arrayBuffer());
}
