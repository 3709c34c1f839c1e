#!/usr/bin/env node
// Removes everything that was built; with --all, llama.cpp's fetched sources too.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/project.mjs";

const built = readdirSync(root).filter((name) => /^(build(-.*)?|dist(-.*)?|prebuilds|\.cache)$/.test(name));
const fetched = process.argv.includes("--all") ? ["third_party/llama.cpp"] : [];
for (const name of [...built, ...fetched]) {
    rmSync(join(root, name), { recursive: true, force: true });
    console.log(`removed ${name}`);
}
