#!/usr/bin/env node
// Fills prebuilds/<platform>-<arch>/ for the machine it runs on:  npm run prebuild -- [-DNAME=VALUE ...]
//
// One build serves every CPU of the architecture: ggml's CPU variants lie beside the addon as libraries, and the best
// one is loaded at run time. prebuildify strips, names and places the files; what it calls in place of node-gyp is
// prebuild-compile.mjs. Its own build folder leaves build/ alone.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fetchLlama } from "../third_party/fetch.mjs";
import { BuildError, displayed, main, manifest, root } from "./lib/project.mjs";

await main(async () => {
    const bin = join(dirname(createRequire(import.meta.url).resolve("prebuildify")), "bin.js");
    const stage = join(root, "build-prebuild", "stage");
    const out = join(root, "prebuilds", `${process.platform}-${process.arch}`);
    rmSync(out, { recursive: true, force: true });
    rmSync(stage, { recursive: true, force: true });
    mkdirSync(stage, { recursive: true });
    const shim = join(root, "scripts", process.platform === "win32" ? "prebuild-compile.cmd" : "prebuild-compile.mjs");
    const { status } = spawnSync(
        process.execPath,
        [bin, "--napi", "--strip", "--name", manifest.name, "--cwd", stage, "--out", root, "--node-gyp", shim],
        {
            cwd: root,
            stdio: "inherit",
            env: { ...process.env, LLAMA_STEER_PREBUILD_DEFINES: JSON.stringify(process.argv.slice(2)) },
        },
    );
    if (status !== 0) {
        throw new BuildError("The prebuild failed.");
    }
    copyFileSync(join((await fetchLlama()).directory, "LICENSE"), join(out, "LICENSE.llama.cpp"));
    const files = readdirSync(out);
    const bytes = files.reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
    console.log(`${displayed(out)}: ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB`);
});
