// A camera, with a pose model and a student of its layout.

import path from "node:path";

/** Recognise people of a camera; return what is shown of them. */
export async function recognises({ open, folder }) {
  const { page, faults } = await open({ permissions: ["camera"] });
  await page.setInputFiles(
    "#model-file",
    ["student.onnx", "student.json"].map((name) => path.join(folder, name)),
  );
  await page.waitForFunction(() => document.querySelector("#model-facts").textContent.includes("coco17_2d"));
  await page.setInputFiles("#pose-file", path.join(folder, process.env.POSE_MODEL ?? "people.onnx"));
  await page.click("#start-camera:enabled");
  await page.waitForFunction(() => document.querySelectorAll("#people button").length === 2);
  await page.waitForFunction(() => document.querySelector("#bars .bar-name").textContent !== "–");
  if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE });
  const labels = await page.$$eval("#bars .bar-name", (all) =>
    all.map((each) => each.textContent).filter((each) => each !== "–"),
  );
  await page.click("#start-camera");
  return { labels: labels.sort(), latency: await page.textContent("#latency"), faults };
}
