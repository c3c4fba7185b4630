// A server of the files of a built page, as any other; it sends no header but the kind. For tests and measurements.

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";

const KINDS = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
};

/**
 * Serve the files of a folder on this machine, at a free port.
 * @param {string} folder
 * @returns {Promise<import("node:http").Server>}
 */
export async function serve(folder) {
  const server = createServer((request, response) => {
    const file = path.join(folder, path.basename(new URL(request.url, "http://host").pathname) || "index.html");
    try {
      response.writeHead(200, {
        "Content-Type": KINDS[path.extname(file)] ?? "application/octet-stream",
        "Content-Length": statSync(file).size,
      });
      createReadStream(file).pipe(response);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
