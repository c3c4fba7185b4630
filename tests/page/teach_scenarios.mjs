// "Teach it": clips are recorded and downloaded, and the model that was trained on them is opened.

import path from "node:path";

/** Record ten clips of each class from a recording of its movements, and save the folder. */
export async function record({ open, folder }) {
  const { page, faults } = await open({ reducedMotion: "reduce" });
  await page.selectOption("#speed", "4");
  for (const name of ["kick", "raise both arms"]) {
    await page.fill("#class-name", name);
    await page.keyboard.press("Enter");
    await page.setInputFiles("#recording-file", path.join(folder, `${name}.npy`));
    await page.waitForFunction((title) => document.querySelector("#source-title").textContent === title, name);
    await page.click(`[aria-label='Record 10 clips: ${name}']`);
    await page.waitForFunction(() => [...document.querySelectorAll(".class-count")].at(-1).textContent === "10 of 10");
    if ((await page.getAttribute("#play", "aria-label")) === "Pause") await page.click("#play");
  }
  const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#download:enabled")]);
  await saved.saveAs(path.join(folder, "taught.zip"));
  return { name: saved.suggestedFilename(), command: await page.textContent("#teach-command"), faults };
}

/** Open the trained model, and let it recognise recordings that it has not seen. */
export async function recognise({ open, folder }) {
  const { page, faults } = await open({ reducedMotion: "reduce" });
  await page.setInputFiles(
    "#model-file",
    ["model.onnx", "model.json"].map((name) => path.join(folder, name)),
  );
  await page.waitForFunction(() => document.querySelector("#model-classes").textContent === "kick, raise both arms");
  const found = {};
  for (const name of ["new kick", "new raise both arms"]) {
    await page.setInputFiles("#recording-file", path.join(folder, `${name}.npy`));
    await page.waitForFunction((title) => document.querySelector("#source-title").textContent === title, name);
    await page.waitForFunction(() => document.querySelector("#whole").textContent !== "");
    found[name] = await page.textContent("#whole");
  }
  return { found, faults };
}
