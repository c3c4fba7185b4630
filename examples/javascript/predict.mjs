// Print the labels of a recording: node predict.mjs model.onnx recording.json [how many labels, 5 if not given]
//
// model.json, which `python -m last export` writes beside the model, has to be there.

import { readFile } from "node:fs/promises";
import process from "node:process";

import * as ort from "onnxruntime-node";

import { parseRecording, Recognizer } from "./recognizer.mjs";

const [model, recording, count = "5"] = process.argv.slice(2);
try {
  if (!recording) throw new Error("Give a model and a recording: node predict.mjs model.onnx recording.json");
  const facts = JSON.parse(await readFile(model.replace(/\.onnx$/, ".json"), "utf8"));
  const recognizer = await Recognizer.load(ort, await readFile(model), facts);
  const found = await recognizer.predict(parseRecording(await readFile(recording, "utf8")));
  for (const { label, probability } of found.slice(0, Number(count))) {
    console.log(`${probability.toFixed(6)} ${label}`);
  }
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
