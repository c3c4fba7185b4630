// Runs scenarios in headless Chromium: node chromium.mjs BROWSER PAGE FOLDER MODULE [SCENARIO...]
//
// PAGE is the folder of the built page, FOLDER holds the files that scenarios open and gets those that they save. Prints
// an object: what each scenario of the module returned, or the error that ended it.

import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

import { serve } from "../../demo/static_server.mjs";

const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 60_000);

const [executablePath, pageFolder, folder, module, ...wanted] = process.argv.slice(2);
const require = createRequire(new URL("../../demo/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const server = await serve(pageFolder);
const address = `http://127.0.0.1:${server.address().port}/`;
const args = ["--no-sandbox", "--use-fake-device-for-media-stream", "--disable-gpu"];
const browser = await chromium.launch({ executablePath, args });

/** Open the page; `faults` gets what should not happen: errors, and requests to other places. */
async function open({ url = address, ready = true, init = null, permissions = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on(
    "request",
    (request) =>
      !/^(data|blob):/.test(request.url()) &&
      !request.url().startsWith(new URL(url).origin) &&
      faults.push(request.url()),
  );
  if (init) await page.addInitScript(init);
  await page.goto(url);
  if (ready) await page.waitForSelector("body[data-ready]", { state: "attached" });
  return { page, context, faults };
}

const scenarios = await import(pathToFileURL(path.resolve(module)).href);
const results = {};
const shared = new Map(); // pages that several scenarios use, since each new one compiles ONNX Runtime for a second
for (const [name, scenario] of Object.entries(scenarios)) {
  if (wanted.length && !wanted.includes(name)) continue;
  const [contexts, began] = [[], performance.now()];
  try {
    const opened = async ({ as = "", ...options } = {}) => {
      if (as) {
        if (!shared.has(as)) shared.set(as, await open(options));
        shared.get(as).faults.length = 0;
        return shared.get(as);
      }
      const found = await open(options);
      contexts.push(found.context);
      return found;
    };
    const value = await scenario({ open: opened, address, folder, pageFolder, require });
    results[name] = { value: structuredClone(value ?? null) }; // the faults of a shared page go on changing
  } catch (error) {
    results[name] = { error: error.stack };
  }
  for (const context of contexts) await context.close().catch(() => {});
  console.error(`${name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
await browser.close();
server.close();
console.log(JSON.stringify(results));
