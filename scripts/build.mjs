#!/usr/bin/env node
// Builds what is stale: fetches llama.cpp, compiles the addon, compiles TypeScript.
//
//   npm run build -- [options] [test] [examples] [bench]
//   npx llama-steer-build [options]                        the addon, where the package was installed from npm
//
//   --debug            Debug instead of Release
//   -DNAME=VALUE       handed to CMake, for instance -DLLAMA_STEER_CUDA=ON; kept until others are given
//   --defaults         Release, without the options of the build before
//   --jobs N           compilers at once (default: all cores)
//   --native, --ts     only the addon, only TypeScript

import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildNative } from "./lib/native.mjs";
import { BuildError, displayed, main, root } from "./lib/project.mjs";
import { buildTypeScript, projects } from "./lib/typescript.mjs";

await main(async () => {
    const { values, positionals } = parse();
    const unknown = positionals.find((name) => !(name in projects));
    if (unknown !== undefined) {
        throw new BuildError(`There is no project ${unknown}: ${Object.keys(projects).join(", ")}.`);
    }
    if (!values.ts) {
        const addon = await buildNative({
            debug: values.debug || values.defaults ? values.debug === true : undefined,
            defines: values.define,
            jobs: values.jobs === undefined ? undefined : Number(values.jobs),
        });
        console.log(`${displayed(addon)} is up to date`);
    }
    // A package installed from npm has its TypeScript compiled already, and no compiler for it.
    if (!values.native && existsSync(join(root, "tsconfig.json"))) {
        for (const name of ["package", ...positionals]) {
            buildTypeScript(name);
        }
    }
});

function parse() {
    try {
        return parseArgs({
            allowPositionals: true,
            options: {
                debug: { type: "boolean" },
                defaults: { type: "boolean" },
                define: { type: "string", short: "D", multiple: true },
                jobs: { type: "string" },
                native: { type: "boolean" },
                ts: { type: "boolean" },
            },
        });
    } catch (error) {
        throw new BuildError(error.message);
    }
}
