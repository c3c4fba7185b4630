// Measure the page in headless Chromium: node measure.mjs BROWSER PAGE [FOLDER]
//
// FOLDER holds `model.onnx`, `model.json`, and `clips.json` as `benchmarks/reliability/page_agreement.py` writes them;
// without it the speed alone is measured. Prints JSON: what is loaded, how long a large file is read, frames a second and
// latency with one and with five people, and the class of each clip. With READING_ONLY=1 the speed is left out.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";

import { chromium } from "playwright-core";

import { serve } from "./static_server.mjs";

const SECONDS = 20;
const JOINTS = 17;
const HOUR = 60 * 60 * 30; // frames
const [executablePath, pageFolder, folder] = process.argv.slice(2);

/** Return what the page loads until it is ready, in bytes, and as a server that compresses would send it. */
function sizes(paths) {
  const bytes = paths.map((name) => readFileSync(path.join(pageFolder, name)));
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  return {
    files: paths.length,
    bytes: sum(bytes.map((each) => each.length)),
    gzip: sum(bytes.map((each) => gzipSync(each).length)),
  };
}

const median = (values) => [...values].sort((one, other) => one - other)[values.length >> 1];

/** Play a clip for some seconds; return the median of what the page shows each second. */
async function speed(page, clip) {
  await page.selectOption("#clip", clip);
  if ((await page.getAttribute("#play", "aria-label")) === "Play") await page.click("#play");
  await page.waitForTimeout(4000);
  const shown = [];
  for (let second = 0; second < SECONDS; second++) {
    await page.waitForTimeout(1000);
    shown.push(
      await page.evaluate(() => ["#fps", "#latency"].map((id) => parseFloat(document.querySelector(id).textContent))),
    );
  }
  return {
    fps: median(shown.map(([fps]) => fps)),
    least_fps: Math.min(...shown.map(([fps]) => fps)),
    latency_ms: median(shown.map(([, ms]) => ms)),
  };
}

/** Open the model and every clip as a user does; return the class and the probability that the page shows for each. */
async function classes(page) {
  await page.setInputFiles(
    "#model-file",
    ["model.onnx", "model.json"].map((name) => path.join(folder, name)),
  );
  await page.waitForSelector("#own-model:not([hidden])");
  const found = {};
  for (const { name, joints } of JSON.parse(readFileSync(path.join(folder, "clips.json"), "utf8"))) {
    const buffer = Buffer.from(JSON.stringify(joints));
    await page.setInputFiles("#recording-file", { name: `${name}.json`, mimeType: "application/json", buffer });
    await page.waitForFunction((title) => document.querySelector("#source-title").textContent === title, name);
    await page.waitForFunction(() => document.querySelector("#whole").textContent !== "");
    found[name] = await page.$eval("#whole", (node) => [node.textContent, Number(node.dataset.probability)]);
  }
  return found;
}

/** Write key points of people over some frames, as pose estimators do: images by name, no tracks; somebody is often lost. */
function writeKeyPoints(file, frames, people) {
  const items = [];
  for (let frame = 0; frame < frames; frame++) {
    for (let person = 0; person < people; person++) {
      if ((frame * 7 + person * 3) % 11 === 0) continue;
      const rows = Array.from({ length: JOINTS }, (_, joint) => [
        (200 * person + 5 * joint + 20 * Math.sin(frame / 30 + joint)).toFixed(2),
        (100 + 20 * joint + 20 * Math.cos(frame / 40 + joint)).toFixed(2),
        0.75,
      ]);
      items.push(`{"image_id":"${frame}.jpg","category_id":1,"score":0.9,"keypoints":[${rows.flat()}]}`);
    }
  }
  writeFileSync(file, `[${items}]`);
  return readFileSync(file).length;
}

/** Return how long a file is read, and the longest time in which the page drew no picture. */
async function reading(page, frames, people) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "last-page-"));
  const file = path.join(folder, `people${people}.json`);
  const bytes = writeKeyPoints(file, frames, people);
  await page.evaluate(() => {
    window.gaps = { last: performance.now(), longest: 0 };
    const tick = (now) => {
      window.gaps.longest = Math.max(window.gaps.longest, now - window.gaps.last);
      window.gaps.last = now;
      if (!window.gaps.ended) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const began = performance.now();
  await page.setInputFiles("#recording-file", file);
  const title = `people${people}`;
  await page.waitForFunction((wanted) => document.querySelector("#source-title").textContent === wanted, title, {
    timeout: 300_000,
  });
  const read_ms = Math.round(performance.now() - began);
  await page.waitForTimeout(1000);
  const longest = await page.evaluate(() => {
    window.gaps.ended = true;
    return window.gaps.longest;
  });
  rmSync(folder, { recursive: true });
  return { bytes, people, frames, read_ms, without_a_picture_ms: Math.round(longest) };
}

const server = await serve(pageFolder);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const loaded = new Set();
page.on(
  "request",
  (request) =>
    request.url().startsWith("http") && loaded.add(path.basename(new URL(request.url()).pathname) || "index.html"),
);
const began = performance.now();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.waitForSelector("body[data-ready]", { state: "attached" });
const ready_ms = Math.round(performance.now() - began);
const first = sizes([...loaded]);
const result = { browser: browser.version(), ready_ms, loaded: first, names: [...loaded] };
if (!process.env.READING_ONLY) result.one_person = await speed(page, "clip-sequence.npy");
if (!process.env.READING_ONLY) result.five_people = await speed(page, "clip-crowd.npy");
result.reading = [await reading(page, HOUR, 1), await reading(page, HOUR / 6, 5)];
if (folder) result.classes = await classes(page);
console.log(JSON.stringify(result));
await browser.close();
server.close();
