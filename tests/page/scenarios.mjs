// What is done in the page; each scenario returns what a test compares. They run in the order of their names, most of them
// in one page, which they leave as it was.

import { readFileSync } from "node:fs";
import path from "node:path";

const problem = (page) => page.textContent("#problem-text");
const text = (page, id) => page.textContent(id);

/** Choose files, and return the problem that the page shows. */
async function refused(page, field, names, folder) {
  await page.setInputFiles(
    field,
    names.map((name) => path.join(folder, name)),
  );
  await page.waitForSelector("#problem:not([hidden])");
  const told = await problem(page);
  await page.click("#problem-close");
  return told;
}

/** Wait until a recording is shown and classified as a whole, and return what is told of it. */
async function whole(page, title) {
  await page.waitForFunction((wanted) => document.querySelector("#source-title").textContent === wanted, title);
  await page.waitForFunction(() => document.querySelector("#whole").textContent !== "");
  return text(page, "#whole");
}

/** Return whether the page still plays and recognises. */
async function lives(page) {
  await page.selectOption("#clip", "clip-action09.npy");
  await page.waitForFunction(() => document.querySelector("#whole").textContent.includes("kick"));
  const before = await text(page, "#time");
  if ((await page.getAttribute("#play", "aria-label")) === "Play") await page.click("#play");
  await page.waitForFunction((time) => document.querySelector("#time").textContent !== time, before);
  return true;
}

export async function plays({ open }) {
  const { page, faults } = await open({ as: "playing" });
  const told = {};
  for (const option of await page.$$("#clip option[value^=clip-action]")) {
    const title = await option.textContent();
    await page.selectOption("#clip", await option.getAttribute("value"));
    told[title] = await whole(page, title);
  }
  await page.selectOption("#speed", "4");
  await page.selectOption("#clip", "clip-crowd.npy");
  await page.waitForFunction(() => document.querySelectorAll("#people button").length === 5);
  await page.waitForFunction(() => document.querySelectorAll("#events .what").length > 4);
  await page.waitForFunction(() =>
    ["#fps", "#latency"].every((id) => parseInt(document.querySelector(id).textContent) > 0),
  );
  const meters = [await text(page, "#fps"), await text(page, "#latency")];
  await page.click("#play");
  await page.selectOption("#clip", "clip-sequence.npy");
  await page.waitForFunction(() => !document.querySelectorAll("#people button").length);
  await page.waitForFunction(() => !document.querySelector("#events").textContent.includes(": "));
  await page.click("#find-events");
  await page.waitForFunction(
    () =>
      document.querySelectorAll("#events .what").length >= 8 &&
      document.querySelector("#find-events").textContent === "Find all",
  );
  const events = await page.$$eval("#events .what", (all) => all.map((each) => each.textContent).reverse());
  const drawn = await page.$eval("#stage", (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(Array.from(new Uint32Array(data.buffer))).size;
  });
  const seenFaults = [...faults];
  const blocked = await page.evaluate(
    () =>
      new Promise((resolve) => {
        document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
        fetch("https://elsewhere.invalid/").catch(() => {});
      }),
  );
  return { blocked, whole: told, events, meters, drawn, faults: seenFaults };
}

/** Press Tab until nothing has the focus; return what had it, and whether that was seen. */
async function tabbed(page) {
  const seen = [];
  for (let number = 0; number < 40; number++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const node = document.activeElement;
      const style = getComputedStyle(node);
      return {
        id: node.id || node.textContent,
        visible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        isBody: node === document.body,
      };
    });
    if (focused.isBody) break;
    seen.push(focused);
  }
  return seen;
}

export async function keyboard({ open }) {
  const { page, faults } = await open({ reducedMotion: "reduce" }); // its own, in which nothing has the focus
  const playing = async () => (await page.getAttribute("#play", "aria-label")) === "Pause";
  const startsStill = !(await playing());
  const seen = await tabbed(page);
  await page.focus("#stage");
  await page.keyboard.press("Space");
  const plays = await playing();
  await page.keyboard.press("Space");
  const before = await page.$eval("#stage", (canvas) => canvas.toDataURL());
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((picture) => document.querySelector("#stage").toDataURL() !== picture, before);
  await page.focus("#scrubber");
  for (let number = 0; number < 20; number++) await page.keyboard.press("ArrowRight");
  const time = await page.getAttribute("#scrubber", "aria-valuetext");
  await page.focus("#class-name");
  await page.keyboard.type("clap");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#classes").textContent.includes("clap"));
  return {
    startsStill,
    plays,
    seen,
    time,
    classes: await page.$$eval("#classes .class-name", (all) => all.map((each) => each.textContent)),
    faults,
  };
}

export async function accessible({ open, require }) {
  const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
  const found = [];
  const { page } = await open({ reducedMotion: "reduce" });
  await page.fill("#class-name", "wave");
  await page.keyboard.press("Enter");
  await page.click("#find-events");
  await page.waitForFunction(() => document.querySelectorAll("#events .what").length >= 8);
  await page.setInputFiles("#recording-file", {
    name: "film.mp4",
    mimeType: "video/mp4",
    buffer: Buffer.from("film"),
  });
  await page.waitForSelector("#problem:not([hidden])");
  await page.evaluate(axe);
  for (const [colorScheme, width] of [
    ["light", 1280],
    ["dark", 390],
  ]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    found.push(
      ...violations.map(({ id, impact, nodes }) => ({
        id,
        impact,
        colorScheme,
        where: nodes.map(({ target }) => target.join(" ")),
      })),
    );
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    if (overflow > 0) found.push({ id: "scrolls sideways", impact: "serious", colorScheme, where: [String(overflow)] });
  }
  await page.click("#problem-close");
  await page.setViewportSize({ width: 1280, height: 800 });
  return found;
}

export async function bad_files({ open, folder }) {
  const { page, faults } = await open({ as: "playing" });
  const told = {};
  for (const name of ["film.mp4", "empty.npy", "flat.json", "flat.npy", "other.json", "cut.skeleton"]) {
    told[name] = await refused(page, "#recording-file", [name], folder);
  }
  told["several"] = await refused(page, "#recording-file", ["film.mp4", "empty.npy"], folder);
  told["old version"] = await refused(page, "#model-file", ["student.onnx", "old.json"], folder);
  told["other pair"] = await refused(page, "#model-file", ["changed.onnx", "student.json"], folder);
  told["damaged"] = await refused(page, "#model-file", ["damaged.onnx", "damaged.json"], folder);
  told["no description"] = await refused(page, "#model-file", ["student.onnx", "flat.json"], folder);
  told["student as a pose model"] = await refused(page, "#pose-file", ["student.onnx"], folder);
  told["no pose model"] = await refused(page, "#pose-file", ["other_network.onnx"], folder);
  told["neither"] = await refused(page, "#recording-file", ["other_network.onnx"], folder);
  told["no network as a pose model"] = await refused(page, "#pose-file", ["film.mp4"], folder);
  told["pose model as a student"] = await refused(page, "#model-file", ["pose.onnx"], folder);
  const kept = await text(page, "#model-name");
  return { told, kept, lives: await lives(page), faults };
}

export async function other_model({ open, folder }) {
  const { page, faults } = await open({ as: "playing" });
  await page.setInputFiles("#recording-file", path.join(folder, "student.onnx")); // and its description after it
  await page.waitForFunction(() => document.querySelector("#model-name").textContent.includes("Now open its .json"));
  await page.setInputFiles("#recording-file", path.join(folder, "student.json"));
  await page.waitForFunction(() => document.querySelector("#model-classes").textContent.includes("rise"));
  await page.setInputFiles("#recording-file", path.join(folder, "recording.json"));
  const told = await whole(page, "recording");
  await page.click("#own-model");
  await page.waitForFunction(() => document.querySelector("#model-classes").textContent.includes("kick"));
  return { whole: told, lives: await lives(page), faults };
}

export async function an_hour({ open, folder }) {
  const { page, faults } = await open({ as: "playing" });
  await page.setInputFiles("#recording-file", path.join(folder, "hour.npy"));
  await page.waitForFunction(() => document.querySelector("#time").textContent.includes("/ 60:00.0 s"));
  await page.click("#play");
  await page.fill("#scrubber", "107000");
  await page.waitForFunction(() => document.querySelector("#time").textContent.startsWith("59:2"));
  await page.waitForFunction(() => document.querySelector("#bars .bar-name").textContent !== "–");
  await page.click("#find-events");
  await page.waitForFunction(() => document.querySelector("#find-events").textContent.startsWith("Stop"));
  await page.click("#find-events");
  await page.waitForFunction(() => document.querySelector("#find-events").textContent === "Find all");
  return { lives: await lives(page), faults };
}

export async function without_a_server({ open, pageFolder }) {
  const { page } = await open({ url: `file://${pageFolder}/index.html`, ready: false });
  await page.waitForSelector("#not-started, #problem:not([hidden])");
  await page.waitForFunction(
    () =>
      getComputedStyle(document.querySelector("#not-started")).visibility === "visible" ||
      !document.querySelector("#problem").hidden,
  );
  return page.innerText(".messages");
}

export async function without_simd({ open }) {
  const { page, faults } = await open({
    init: () => {
      WebAssembly.validate = () => false;
    },
  });
  const told = await problem(page);
  const before = await text(page, "#time");
  await page.waitForFunction((time) => document.querySelector("#time").textContent !== time, before);
  return { told, faults };
}

export async function cameras({ open, folder }) {
  const { page } = await open({ as: "playing" });
  const told = {};
  await page.setInputFiles("#recording-file", path.join(folder, "pose.onnx"));
  await page.click("#start-camera:enabled"); // headless Chromium refuses what nobody has allowed
  await page.waitForSelector("#problem:not([hidden])");
  told.refused = await problem(page);
  await page.click("#problem-close");
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException("none", "NotFoundError");
    };
  });
  await page.click("#start-camera:enabled");
  await page.waitForSelector("#problem:not([hidden])");
  told.missing = await problem(page);
  await page.click("#problem-close");
  told.lives = await lives(page);
  return told;
}

export async function a_camera({ open, folder }) {
  const { page, context, faults } = await open({ as: "playing" });
  const isDisabled = await page.isDisabled("#start-camera");
  await context.grantPermissions(["camera"]);
  await page.setInputFiles("#pose-file", path.join(folder, "pose.onnx"));
  await page.waitForFunction(() =>
    document.querySelector("#pose-name").textContent.includes("RTMPose, one person, 17 joints, 192 × 256"),
  );
  await page.click("#start-camera");
  await page.waitForSelector("#problem:not([hidden])"); // the student of the page has another layout
  const told = await problem(page);
  await page.fill("#class-name", "still");
  await page.keyboard.press("Enter");
  await page.selectOption("#clip-seconds", "1");
  await page.click("[aria-label='Record one clip: still']");
  await page.waitForSelector("#countdown:not([hidden])");
  await page.waitForFunction(() => document.querySelector(".class-count").textContent === "1 of 10");
  await page.click("#start-camera");
  await page.waitForFunction(() => document.querySelector("#start-camera").textContent === "Start camera");
  await context.clearPermissions();
  return { isDisabled, told, lives: await lives(page), faults };
}

export async function served_by_last({ open, folder }) {
  const { page, faults } = await open({ url: readFileSync(path.join(folder, "served.txt"), "utf8") });
  await page.waitForFunction(() => document.querySelectorAll("#events .what").length > 0);
  return faults;
}
