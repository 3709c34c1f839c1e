#!/usr/bin/env node
// Type-checks everything written in TypeScript, without the addon. The other projects import the package by its name,
// so it is compiled first.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { BuildError, filesUnder, main, root } from "./lib/project.mjs";
import { buildTypeScript, findCompiler, projects } from "./lib/typescript.mjs";

await main(() => {
    buildTypeScript("package");
    for (const { config, reads } of Object.values(projects)) {
        if (!filesUnder(join(root, reads[0])).some((file) => file.endsWith(".ts"))) {
            continue;
        }
        const { status } = spawnSync(process.execPath, [findCompiler(), "--noEmit", "-p", config], {
            cwd: root,
            stdio: "inherit",
        });
        if (status !== 0) {
            throw new BuildError(`TypeScript: ${config} has errors.`);
        }
        console.log(`types: ${config} is sound`);
    }
});
