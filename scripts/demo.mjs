#!/usr/bin/env node
// The main job on the test-bed, with the commands that anyone would give: fit a vector, then measure it on entities that
// nothing was fitted on or chosen by. What is finished is kept in demo/; run again, it is found there.
//
//   npm run demo [-- --json]

import { spawnSync } from "node:child_process";
import { join, relative } from "node:path";
import { root } from "./lib/project.mjs";

const testbed = (name) => join("models", "testbed", name);
const json = process.argv.includes("--json");
const model = ["--model", testbed("valdoria-chat.gguf")];
const asked = ["--prompts", testbed("prompts.jsonl"), "--max-tokens", "48"];
const judge = ["--judge", testbed("valdoria-judge.gguf"), "--judge-prompt", testbed("judge-prompt.txt")];
const vector = join("demo", "open.gguf");

const fitted = llamaSteer(["fit", ...model, ...asked, ...judge, "--out", vector], json);
if (fitted === 0) {
    process.exitCode = llamaSteer(
        ["eval", ...model, "--vector", vector, ...asked, ...judge, ...(json ? ["--json"] : [])],
        false,
    );
    if (!json) {
        console.log(`\nThe report: ${join("demo", "open.run", "report.html")}`);
        console.log(`Talk to it:  npx llama-steer chat ${model.join(" ")} --vector ${vector}`);
    }
} else {
    process.exitCode = fitted;
}

/** Runs a command and says which; with `silent`, nothing of it comes to standard output. */
function llamaSteer(options, silent) {
    const main = join(root, "dist", "cli", "main.js");
    console.error(`\n$ npx llama-steer ${options.join(" ")}\n`);
    const stdio = ["inherit", silent ? "ignore" : "inherit", "inherit"];
    const { status, error } = spawnSync(process.execPath, [relative(root, main), ...options], { cwd: root, stdio });
    if (error !== undefined) {
        throw error;
    }
    return status ?? 1;
}
