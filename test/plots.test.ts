import { spawnSync } from "node:child_process";
import test from "ava";
import { repository } from "./support/paths.js";

for (const name of ["schedules", "planted-direction"]) {
    test(`the picture ${name} is what would be drawn today, byte for byte`, (t) => {
        const { status, stdout, stderr } = spawnSync(process.execPath, [`scripts/plot-${name}.mjs`, "--check"], {
            cwd: repository,
            encoding: "utf8",
        });
        t.is(status, 0, stderr);
        t.regex(stdout, /is current/);
    });
}
