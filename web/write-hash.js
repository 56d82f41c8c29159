// Writes beside the built page what it was built from: tests/web/test_page.py says when the sources have changed since.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const named = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
const files = [...named, ...readdirSync("src").map((name) => `src/${name}`)].sort();
const hash = createHash("sha256");
for (const file of files) {
  hash.update(`${file}\n`);
  hash.update(readFileSync(file));
}
writeFileSync("../src/pcm3/web/static/sources.sha256", `${hash.digest("hex")}\n`);
