#!/usr/bin/env node
// Builds what is stale and runs one benchmark:  npm run bench -- NAME [its options]

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { BuildError, main, root } from "./lib/project.mjs";

await main(() => {
    const [name, ...rest] = process.argv.slice(2);
    const folder = join(root, "bench");
    const names = existsSync(folder)
        ? readdirSync(folder)
              .filter((file) => file.endsWith(".bench.ts"))
              .map((file) => file.slice(0, -".bench.ts".length))
        : [];
    if (name === undefined || !names.includes(name)) {
        throw new BuildError(
            `npm run bench -- NAME, where NAME is one of: ${names.join(", ") || "none yet (bench/NAME.bench.ts)"}`,
        );
    }
    const run = (...args) => spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" }).status ?? 1;
    // The table or JSON of the benchmark goes to standard output alone.
    const built = spawnSync(process.execPath, [join(root, "scripts", "build.mjs"), "bench"], {
        cwd: root,
        stdio: ["ignore", 2, 2],
    });
    process.exitCode = built.status === 0 ? run(join("dist-bench", `${name}.bench.js`), ...rest) : 1;
});
