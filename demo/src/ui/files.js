// Files that are dropped or chosen: what they are, by their names and contents.

import { counted, Problem, shown } from "../core/problem.js";
import { byId } from "./dom.js";
import { guarded } from "./messages.js";

const MOST_FILES = 20_000;
const HIDDEN = /^\.|^(thumbs\.db|desktop\.ini)$/i; // what systems add to folders

const endsWith =
  (ending) =>
  ({ name }) =>
    name.toLowerCase().endsWith(ending);

/** Listens for files, and gives them to `onFiles`. */
export class Files {
  /** @param {(files: File[], purpose: "" | "pose" | "model") => Promise<void>} onFiles */
  constructor(onFiles) {
    const handle = guarded(onFiles);
    const pairs = [
      ["open-recording", "recording-file", ""],
      ["open-model", "model-file", "model"],
      ["open-pose", "pose-file", "pose"],
    ];
    for (const [button, field, purpose] of pairs) {
      byId(button).addEventListener("click", () => byId(field).click());
      byId(field).addEventListener("change", async () => {
        const files = [...byId(field).files];
        byId(field).value = ""; // so that the same file can be chosen again
        if (files.length) await handle(files, purpose);
      });
    }
    this.listenForDrops(handle);
  }

  listenForDrops(handle) {
    const show = (isShown) => (byId("drop").hidden = !isShown);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      show(true);
    });
    document.addEventListener("dragleave", (event) => event.relatedTarget === null && show(false));
    document.addEventListener(
      "drop",
      guarded(async (event) => {
        event.preventDefault();
        show(false);
        await handle(await filesOf(event.dataTransfer), "");
      }),
    );
  }
}

/** Return the files that were dropped, also those in folders. @param {DataTransfer} dropped */
async function filesOf(dropped) {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...dropped.files];
  const found = [];
  for (const entry of entries) await collect(entry, found);
  return found;
}

async function collect(entry, found) {
  if (found.length > MOST_FILES) throw new Problem(`The folder has more than ${counted(MOST_FILES, "file")}.`);
  if (entry.isFile) {
    found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return;
    for (const each of part) await collect(each, found);
  }
}

/**
 * Return what files are: those of a model, a pose model, or a recording.
 * @param {File[]} given
 * @param {boolean} isModelPending whether one of the two files of a model is here already
 */
export async function sorted(given, isModelPending) {
  const files = given.length > 1 ? given.filter(({ name }) => !HIDDEN.test(name)) : given;
  if (!files.length) throw new Problem("What was dropped holds no file.");
  const models = files.filter(endsWith(".onnx"));
  if (models.length > 1)
    throw new Problem(`Open one model at a time: ${models.map(({ name }) => shown(name, 30)).join(", ")}.`);
  if (models.length) {
    const stem = models[0].name.slice(0, -".onnx".length);
    const facts =
      files.find(({ name }) => name === `${stem}.json`) ??
      (files.length === 2 ? files.find(endsWith(".json")) : undefined);
    return { kind: facts || isModelPending ? "model" : "onnx", files: facts ? [models[0], facts] : models };
  }
  const [first] = files;
  if (files.length === 1 && endsWith(".json")(first) && (await isDescription(first))) return { kind: "model", files };
  return { kind: "recording", files };
}

/** Return whether a JSON file is the description of a model, which are short. @param {File} file */
async function isDescription(file) {
  if (file.size > 2 ** 20) return false;
  return (await file.text()).includes('"last-recognizer"');
}
