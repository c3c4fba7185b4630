// What the page shows and says while it reads, records, searches, or is looked at in another way.

import { readFileSync } from "node:fs";
import path from "node:path";

const STILL = { as: "states", reducedMotion: "reduce" };

const text = (page, id) => page.textContent(id);
const isShown = (page, id) => page.$eval(id, (node) => !node.hidden);
const seenOn = (page, title) =>
  page.waitForFunction((wanted) => document.querySelector("#source-title").textContent === wanted, title);
const searched = (page) =>
  page.waitForFunction(
    () =>
      document.querySelectorAll("#events .what").length >= 8 &&
      document.querySelector("#find-events").textContent === "Find all",
  );

async function play(page, isPlaying) {
  const label = isPlaying ? "Play" : "Pause";
  if ((await page.getAttribute("#play", "aria-label")) === label) await page.click("#play");
}

async function read(page, folder, name) {
  await page.setInputFiles("#recording-file", path.join(folder, name));
}

/** Record clips of joints that have no layout here; return the command that trains on them. */
export async function teaches_an_unknown_layout({ open, folder }) {
  const { page, faults } = await open({ reducedMotion: "reduce" });
  await read(page, folder, "seven.npy");
  await seenOn(page, "seven");
  await page.selectOption("#speed", "4");
  for (const name of ["rest", "one", "other"]) {
    await page.fill("#class-name", name);
    await page.keyboard.press("Enter");
  }
  for (const name of ["one", "other", "one", "other"]) {
    await page.click(`[aria-label="Record one clip: ${name}"]`);
    await page.waitForSelector(".classes:not(:has(.active))");
  }
  const download = page.waitForEvent("download");
  await page.click("#download");
  await (await download).cancel();
  const [command, told] = [await text(page, "#teach-command"), await page.innerText("#teach-layout")];
  return { command, told, hint: await text(page, "#teach-hint"), faults };
}

/** Record from a recording of one movement, which begins again, as two classes. */
export async function records_no_copies({ open }) {
  const { page, faults } = await open({ reducedMotion: "reduce" });
  await page.selectOption("#speed", "4");
  await page.selectOption("#clip", "clip-action01.npy");
  await seenOn(page, "Raise both arms");
  const told = [];
  for (const [name, clips] of [
    ["one", "10 clips"],
    ["other", "one clip"],
  ]) {
    await page.fill("#class-name", name);
    await page.keyboard.press("Enter");
    await page.click(`[aria-label="Record ${clips}: ${name}"]`);
    await page.waitForSelector(".classes:not(:has(.active))");
    told.push(await text(page, "#note-text"));
  }
  const count = await page.$$eval(".class-count", (all) => all.map((each) => each.textContent));
  return { told, count, faults };
}

/** Read a file that takes some time: the page plays on, it is cancelled, something else is opened, and it is read. */
export async function reads_while_it_plays({ open, folder }) {
  const { page, faults } = await open(STILL);
  await play(page, true);
  await read(page, folder, "large.json");
  await page.waitForSelector("#reading:not([hidden])");
  const told = await text(page, "#reading-text");
  const before = await text(page, "#time");
  await page.waitForFunction((time) => document.querySelector("#time").textContent !== time, before);
  const isStillReading = await isShown(page, "#reading");
  await page.focus("#reading-cancel");
  await page.keyboard.press("Enter");
  const cancelled = { shown: await isShown(page, "#reading"), title: await text(page, "#source-title") };
  const focus = await page.evaluate(() => document.activeElement.id);
  await read(page, folder, "large.json");
  await page.waitForSelector("#reading:not([hidden])");
  await page.selectOption("#clip", "clip-pair.npy");
  await seenOn(page, "Two people meet");
  const replaced = { shown: await isShown(page, "#reading"), chosen: await page.$eval("#clip", (menu) => menu.value) };
  await read(page, folder, "large.json");
  await seenOn(page, "large");
  const after = { shown: await isShown(page, "#reading"), chosen: await page.$eval("#clip", (menu) => menu.value) };
  await page.waitForSelector("#problem:not([hidden])"); // its layout is another one
  await page.click("#problem-close");
  return { told, isStillReading, cancelled, focus, replaced, after, faults };
}

export async function says_who_is_left_out({ open, folder }) {
  const { page, faults } = await open(STILL);
  await read(page, folder, "many.npy");
  await seenOn(page, "many");
  const many = await text(page, "#left-out");
  await page.selectOption("#clip", "clip-crowd.npy");
  await seenOn(page, "Five people at once");
  const few = await isShown(page, "#left-out");
  await read(page, folder, "three.skeleton");
  await seenOn(page, "three");
  return { many, few, three: await text(page, "#left-out"), faults };
}

export async function long_names({ open, folder }) {
  const { page, faults } = await open(STILL);
  await page.setInputFiles(
    "#model-file",
    ["long.onnx", "long.json"].map((name) => path.join(folder, name)),
  );
  await page.waitForFunction(() => document.querySelector("#model-classes").textContent.includes("class"));
  await page.$eval("#model-classes", (node) => (node.parentElement.open = true));
  await page.setViewportSize({ width: 390, height: 844 });
  await page.selectOption("#clip", "clip-sequence.npy");
  await seenOn(page, "Nine actions in a row");
  await page.click("#find-events");
  await searched(page);
  const shown = await page.evaluate(() => {
    const texts = (selector) => [...document.querySelectorAll(selector)].map((node) => node.textContent);
    const { scrollWidth, clientWidth } = document.documentElement;
    const list = document.querySelector("#model-classes");
    return {
      overflow: scrollWidth - clientWidth,
      listed: list.scrollWidth - list.clientWidth,
      height: list.clientHeight,
      texts: [...texts("#events .what"), ...texts(".block"), ...texts("#bars .bar-name"), ...texts("#whole")],
    };
  });
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.click("#own-model");
  await page.waitForFunction(() => document.querySelector("#model-classes").textContent.includes("kick"));
  return { ...shown, faults };
}

/** Search the events of a recording twice. */
export async function no_event_twice({ open }) {
  const { page, faults } = await open(STILL);
  await play(page, false); // what is found while it plays replaces what the search has found
  await page.selectOption("#clip", "clip-sequence.npy");
  await seenOn(page, "Nine actions in a row");
  const events = () => page.$$eval("#events li", (all) => all.map((each) => each.textContent));
  const found = [];
  for (let time = 0; time < 2; time++) {
    await page.click("#find-events");
    await searched(page);
    found.push(await events());
  }
  return { found, faults };
}

/** Move the time, and pause, while clips are recorded: the page says that the recording has ended. */
export async function ends_a_recording_aloud({ open }) {
  const { page, faults } = await open(STILL);
  await page.fill("#class-name", "wave");
  await page.keyboard.press("Enter");
  const focused = () =>
    page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute("aria-label"));
  const told = [];
  for (const disturb of [
    () => page.fill("#scrubber", "40"),
    () => page.click("#play"),
    () => page.selectOption("#clip", "clip-pair.npy"),
  ]) {
    await page.focus("[aria-label='Record 10 clips: wave']");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".classes .active");
    const focus = await focused();
    const before = await isShown(page, "#note");
    await disturb();
    await page.waitForSelector("#note:not([hidden])");
    const active = await page.$$eval(".classes .active", (all) => all.length);
    told.push({ before, focus, active, text: await text(page, "#note-text") });
  }
  await page.focus("#scrubber");
  await page.focus("#note-close");
  await page.keyboard.press("Enter");
  const focus = await focused();
  await play(page, false);
  return { told, focus, closed: !(await isShown(page, "#note")), faults };
}

/** Return what can be told apart where the system forces its colours, and what axe finds. */
export async function forced_colours({ open, require }) {
  const { page, faults } = await open(STILL);
  await page.selectOption("#clip", "clip-crowd.npy");
  await seenOn(page, "Five people at once");
  await page.selectOption("#speed", "4");
  await play(page, true);
  await page.waitForFunction(() => document.querySelectorAll(".block").length > 3);
  await play(page, false);
  const found = {};
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, forcedColors: "active" });
    await page.waitForTimeout(200); // one more picture of the canvas
    found[colorScheme] = await page.evaluate(() => {
      const style = (selector) => getComputedStyle(document.querySelector(selector));
      const differs = (one, other) => one.backgroundColor !== other.backgroundColor;
      const canvas = document.querySelector("#stage");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const ground = `rgb(${[...data.slice(0, 3)].join(", ")})`;
      return {
        bar: differs(style(".bar-fill"), style(".bar")),
        playhead: differs(style(".playhead"), style(".lanes")),
        block: style(".block").borderTopStyle,
        chosen: style(".chip[aria-pressed=true]").outlineStyle,
        ground: ground === style("#stage").backgroundColor,
      };
    });
    if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/forced-${colorScheme}.png` });
  }
  await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  await page.emulateMedia({ colorScheme: "light", forcedColors: "none" });
  await page.selectOption("#speed", "1");
  const serious = violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => [id, ...nodes.map(({ target }) => target.join(" "))].join(" "));
  return { found, serious, faults };
}

export async function without_javascript({ open }) {
  const { page } = await open({ ready: false, javaScriptEnabled: false });
  await page.waitForTimeout(4500); // when a page that has not started says so
  return page.innerText("body");
}

/** Start a camera twice at once, and while something else is opened. */
export async function a_camera_once({ open, folder }) {
  const { page, context, faults } = await open(STILL);
  await context.grantPermissions(["camera"]);
  await page.evaluate(() => {
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.streams = [];
    window.allowed = Promise.resolve();
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      const stream = await real(wanted);
      window.streams.push(stream);
      await window.allowed;
      return stream;
    };
  });
  await page.selectOption("#clip", "clip-sequence.npy");
  await page.setInputFiles("#pose-file", path.join(folder, "pose.onnx"));
  await page.waitForSelector("#start-camera:enabled");
  await page.$eval("#start-camera", (button) => [1, 2].forEach(() => button.click()));
  await page.waitForFunction(() => document.querySelector("#start-camera").textContent === "Stop camera");
  await seenOn(page, "Camera");
  const during = await page.evaluate(() => ({
    streams: window.streams.length,
    search: document.querySelector("#find-events").disabled,
    menu: document.querySelector("#clip").selectedOptions[0].textContent,
    problem: document.querySelector("#problem-text").textContent,
  }));
  await page.click("#start-camera");
  await seenOn(page, "Nine actions in a row");
  const after = await page.evaluate(() => ({
    search: document.querySelector("#find-events").disabled,
    menu: document.querySelector("#clip").selectedOptions[0].textContent,
    problem: document.querySelector("#problem").hidden ? "" : document.querySelector("#problem-text").textContent,
    isOff: window.streams[0].getTracks().every(({ readyState }) => readyState === "ended"),
  }));
  await page.evaluate(() => {
    window.allowed = new Promise((resolve) => (window.allow = resolve));
  });
  await page.click("#start-camera");
  await page.waitForFunction(() => window.streams.length === 2);
  await page.selectOption("#clip", "clip-pair.npy");
  await seenOn(page, "Two people meet");
  await page.evaluate(() => window.allow());
  await page.waitForFunction(() => window.streams[1].getTracks().every(({ readyState }) => readyState === "ended"));
  const late = { title: await text(page, "#source-title"), button: await text(page, "#start-camera") };
  await context.clearPermissions();
  return { during, after, late, problem: await isShown(page, "#problem"), faults };
}
