// Build the page: `npm run build` writes it to `dist/` and to `../src/serve/page/`, `node build.mjs FOLDER` to a folder.
//
// `python make_content.py` has to have written `content/` before. Every file of the page is in one folder, so that any
// server of static files, and `last serve`, can offer it.

import { access, copyFile, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const OUTPUTS =
  process.argv.length > 2
    ? [path.resolve(process.argv[2])]
    : [path.join(HERE, "dist"), path.join(HERE, "../src/serve/page")];
const WORKERS = { "src/engine/worker.js": "worker.js", "src/readers/worker.js": "reader.js" };
const STATIC = ["index.html", "page.css", "icon.svg", "licences.txt"];
const CONTENT = /^(model\.(onnx|json)|clip-.*\.npy)$/;
const NEEDED = ["clips.json", "drawing.json", "layouts.json", "model.json", "model.onnx"];
const RUNTIME = path.join(HERE, "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");

// What the page shares with the pages of `last view`: their files are joined as texts, and are no modules.
const SHARED = { "drawing.js": "camera, drawFrame", "gestures.js": "listenForGestures" };
const player = {
  name: "player",
  setup({ onLoad }) {
    onLoad({ filter: /plots[/\\]player[/\\][a-z]+\.js$/ }, async ({ path: file }) => ({
      contents: `${await readFile(file, "utf8")}\nexport { ${SHARED[path.basename(file)]} };\n`,
      loader: "js",
    }));
  },
};

/** Return esbuild, if all that is built from is there. */
async function prepared() {
  const missing = [];
  for (const name of NEEDED) await access(path.join(HERE, "content", name)).catch(() => missing.push(name));
  if (missing.length) {
    stop(
      `demo/content has no ${missing.join(", ")}: run \`python demo/make_content.py\` first, with the Python in which ` +
        "LAST is installed, or `make page`, which does all of it.",
    );
  }
  return import("esbuild").catch((error) =>
    stop(`esbuild cannot be loaded: run \`npm ci\` in demo first, or \`make page\`. (${error.message})`),
  );
}

function stop(reason) {
  console.error(reason);
  process.exit(1);
}

/** Write the page to a folder, which is emptied before. */
async function write(folder) {
  const before = await readdir(folder).catch(() => []);
  if (before.length && !before.includes("page.js"))
    stop(`${folder} holds other files than those of a page, and would be emptied: name another folder.`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const common = {
    bundle: true,
    minify: true,
    target: "es2022",
    legalComments: "eof",
    logLevel: "warning",
    absWorkingDir: HERE,
    plugins: [player],
  };
  await build({ ...common, entryPoints: ["src/app.js"], outfile: path.join(folder, "page.js"), format: "iife" });
  for (const [source, name] of Object.entries(WORKERS))
    await build({ ...common, entryPoints: [source], outfile: path.join(folder, name), format: "esm" });
  for (const name of STATIC) await copyFile(path.join(HERE, name), path.join(folder, name));
  await copyFile(RUNTIME, path.join(folder, "ort.wasm"));
  const content = await readdir(path.join(HERE, "content"));
  for (const name of content.filter((each) => CONTENT.test(each)))
    await copyFile(path.join(HERE, "content", name), path.join(folder, name));
}

const { build } = await prepared();
for (const folder of OUTPUTS) {
  await write(folder);
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(path.join(folder, name))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  console.log(
    `${path.relative(process.cwd(), folder) || "."}: ${names.length} files, ${(total / 2 ** 20).toFixed(1)} MiB`,
  );
}
