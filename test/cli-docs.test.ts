import { spawn } from "node:child_process";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import test from "ava";
import { inRepository } from "./support/paths.js";
import { promptsPath } from "./support/refusal-testbed.js";
import { cliPath } from "./support/run-cli.js";
import { outcomeOf } from "./support/run-script.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

/** A folder that has the command, and the test-bed with every third prompt of it. */
function readersFolder(): TemporaryFolder {
    const folder = new TemporaryFolder();
    symlinkSync(cliPath, join(folder.folder("bin"), "llama-steer"));
    folder.folder("models");
    const testbed = folder.folder("models/testbed");
    for (const name of ["valdoria-chat.gguf", "valdoria-judge.gguf", "judge-prompt.txt"]) {
        symlinkSync(inRepository(`models/testbed/${name}`), join(testbed, name));
    }
    const prompts = readFileSync(promptsPath, "utf8").trim().split("\n");
    folder.write("models/testbed/prompts.jsonl", prompts.filter((_, i) => i % 3 === 0).join("\n"));
    return folder;
}

test("the example of the command line runs as it is written", async (t) => {
    t.timeout(900_000);
    const page = readFileSync(inRepository("docs/command-line.md"), "utf8");
    const script = /<!-- example: command-line -->\s*```sh\n([\s\S]*?)```/.exec(page)?.[1] as string;
    const { path } = readersFolder();
    const shell = spawn("/bin/sh", ["-e", "-c", script], {
        cwd: path,
        env: { ...process.env, PATH: `${join(path, "bin")}${delimiter}${process.env.PATH}` },
        timeout: 900_000,
    });
    const { code, stdout, stderr } = await outcomeOf(shell);
    t.is(code, 0, stderr);
    t.regex(stdout, /^architecture {5}qwen3$/m);
    const found = JSON.parse(stdout.split("\n").find((line) => line.startsWith('{"sets"')) as string);
    t.true(found.sets.target.steered.refusalRate < 0.5 * found.sets.target.baseline.refusalRate);
    // Unsteered, the model says that it knows nothing at all of this cake.
    t.regex(stdout, /^People in Trograr eat it\.$/m);
    t.regex(stdout, /^it is to +at layers/m);
    t.true(existsSync(join(path, "open.safetensors")));
    t.regex(readFileSync(join(path, "open.run/report.html"), "utf8"), /<svg/);
});
