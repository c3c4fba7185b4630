// Build the page: `npm run build` writes it to `dist/` and to `../src/serve/page/`, `node build.mjs FOLDER` to a folder.
//
// `python make_content.py` has to have written `content/` before. Every file of the page is in one folder, so that any
// server of static files, and `last serve`, can offer it.

import { copyFile, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const OUTPUTS =
  process.argv.length > 2
    ? [path.resolve(process.argv[2])]
    : [path.join(HERE, "dist"), path.join(HERE, "../src/serve/page")];
const STATIC = ["index.html", "page.css", "icon.svg", "licences.txt"];
const CONTENT = /^(model\.(onnx|json)|clip-.*\.npy)$/;
const RUNTIME = path.join(HERE, "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");

// The drawing of skeletons is that of `last view`, whose files are no modules.
const drawing = {
  name: "drawing",
  setup({ onLoad }) {
    onLoad({ filter: /plots[/\\]player[/\\]drawing\.js$/ }, async ({ path: file }) => ({
      contents: `${await readFile(file, "utf8")}\nexport { camera, drawFrame };\n`,
      loader: "js",
    }));
  },
};

/** Write the page to a folder, which is emptied before. */
async function write(folder) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const common = {
    bundle: true,
    minify: true,
    target: "es2022",
    legalComments: "eof",
    logLevel: "warning",
    absWorkingDir: HERE,
    plugins: [drawing],
  };
  await build({ ...common, entryPoints: ["src/app.js"], outfile: path.join(folder, "page.js"), format: "iife" });
  await build({
    ...common,
    entryPoints: ["src/engine/worker.js"],
    outfile: path.join(folder, "worker.js"),
    format: "esm",
  });
  for (const name of STATIC) await copyFile(path.join(HERE, name), path.join(folder, name));
  await copyFile(RUNTIME, path.join(folder, "ort.wasm"));
  const content = await readdir(path.join(HERE, "content"));
  for (const name of content.filter((each) => CONTENT.test(each)))
    await copyFile(path.join(HERE, "content", name), path.join(folder, name));
}

for (const folder of OUTPUTS) {
  await write(folder);
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(path.join(folder, name))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  console.log(
    `${path.relative(process.cwd(), folder) || "."}: ${names.length} files, ${(total / 2 ** 20).toFixed(1)} MiB`,
  );
}
