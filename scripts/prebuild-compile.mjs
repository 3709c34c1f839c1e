#!/usr/bin/env node
// Stands in for node-gyp under prebuildify (see prebuild.mjs): compiles with cmake-js and leaves the addon with its
// libraries where prebuildify looks for them, in build/Release of the working directory. node-gyp's arguments need no
// reading: Node-API binds to no version of Node, and only this machine's architecture is built.

import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { buildNative } from "./lib/native.mjs";
import { BuildError, main, root } from "./lib/project.mjs";

await main(async () => {
    const wanted = process.argv.find((argument) => argument.startsWith("--arch="))?.slice("--arch=".length);
    if (wanted !== undefined && wanted !== process.arch) {
        throw new BuildError(
            `Prebuilds are made on their own architecture: ${wanted} on ${process.arch} is not possible.`,
        );
    }
    const out = join(root, "build-prebuild", "cmake");
    const extra = JSON.parse(process.env.LLAMA_STEER_PREBUILD_DEFINES ?? "[]");
    const addon = await buildNative({
        out,
        debug: false,
        jobs: availableParallelism(),
        defines: [
            "BUILD_SHARED_LIBS=ON",
            "GGML_BACKEND_DL=ON",
            "GGML_CPU_ALL_VARIANTS=ON",
            "GGML_NATIVE=OFF",
            "LLAMA_STEER_BACKEND_DL=ON",
            "LLAMA_STEER_BLAS=builtin",
            ...extra.map((argument) => argument.replace(/^-D/, "")),
        ],
    });
    const release = join(process.cwd(), "build", "Release");
    mkdirSync(release, { recursive: true });
    copyFileSync(addon, join(release, basename(addon)));
    const libraries = join(out, "bin");
    for (const name of readdirSync(libraries).filter((file) => /\.(so|dylib|dll)$/.test(file))) {
        copyFileSync(join(libraries, name), join(release, name));
    }
});
