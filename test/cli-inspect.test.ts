import { statSync } from "node:fs";
import test from "ava";
import { loadModel, type Sites } from "llama-steer";
import { ridgeBytes } from "llama-steer/ridge";
import { chatModelPath, inRepository } from "./support/paths.js";
import { judgeModelPath } from "./support/refusal-testbed.js";
import { expectFailure, jsonOf, runCli } from "./support/run-cli.js";
import { runScript } from "./support/run-script.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

interface Inspection {
    architecture: string;
    layers: number;
    hiddenSize: number;
    parameters: number;
    fileBytes: number;
    chatTemplate: boolean;
    sites: Sites;
    memory: {
        context: { sequences: number; contextSize: number; bytes: number | null };
        fit: { prompts: number; rowBytes: number; solverBytes: number };
    };
}

test("inspect --json tells what the library does", async (t) => {
    const found = await jsonOf<Inspection>(t, ["inspect", chatModelPath, "--fit-prompts", "300"]);
    await using model = await loadModel(chatModelPath);
    const { architecture, layers, hiddenSize, parameters } = model.info;
    t.like(found, { architecture, layers, hiddenSize, parameters, chatTemplate: true });
    t.is(found.fileBytes, statSync(chatModelPath).size);
    t.deepEqual(found.sites, JSON.parse(JSON.stringify(await model.sites())));
    t.is(found.memory.fit.rowBytes, 300 * layers * hiddenSize * Float32Array.BYTES_PER_ELEMENT);
    t.is(found.memory.fit.solverBytes, ridgeBytes({ rows: 300, width: hiddenSize, lambda: 1 }));
});

test("inspect says the same to people, in aligned columns", async (t) => {
    const { code, stdout, stderr } = await runCli(["inspect", chatModelPath]);
    t.is(code, 0, stderr);
    t.is(stderr, "");
    t.regex(stdout, /^architecture {5}qwen3$/m);
    t.regex(stdout, /^layers {11}8$/m);
    t.regex(stdout, /^parameters {7}1\.69 M$/m);
    t.regex(stdout, /^chat template {4}yes$/m);
    t.regex(stdout, /^residual {9}0-7 {7}128$/m);
    t.regex(stdout, /^weights +3\.39 MB$/m);
});

/** MiB that llama.cpp says it gave to the keys and values of a context. */
async function loggedMebibytes(path: string, sequences: number, contextSize: number): Promise<number> {
    const script = `import { loadModel } from "llama-steer";
        const [path, sequences, contextSize] = process.argv.slice(1);
        const model = await loadModel(path);
        await model.createContext({ sequences: Number(sequences), contextSize: Number(contextSize), threads: 1 });
        await model.dispose();`;
    process.env.LLAMA_STEER_LOG = "1";
    const { stdout, stderr } = await runScript(script, [path, `${sequences}`, `${contextSize}`]);
    delete process.env.LLAMA_STEER_LOG;
    const sizes = [...`${stdout}${stderr}`.matchAll(/llama_kv_cache: size = +([\d.]+) MiB/g)];
    return Number(sizes.at(-1)?.[1]);
}

for (const [path, sequences, contextSize] of [
    [chatModelPath, 1, 256],
    [chatModelPath, 7, 100],
    [chatModelPath, 32, 256],
    [judgeModelPath, 32, 200],
] as const) {
    const name = path.split("/").at(-1);
    test.serial(
        `the memory told for ${sequences} x ${contextSize} tokens of ${name} is what llama.cpp takes`,
        async (t) => {
            const args = ["inspect", path, "--sequences", `${sequences}`, "--context-size", `${contextSize}`];
            const { memory } = await jsonOf<Inspection>(t, args);
            const logged = await loggedMebibytes(path, sequences, contextSize);
            t.true(logged > 0);
            // It is logged with two decimals.
            t.true(Math.abs((memory.context.bytes as number) / 2 ** 20 - logged) <= 0.005 + 1e-9);
        },
    );
}

const folder = new TemporaryFolder();
const damaged = folder.write("damaged.gguf", Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(64, 255)]));

const failures = [
    ["a file that is not there", "nowhere.gguf", "FILE_NOT_FOUND", /nowhere\.gguf/],
    ["a folder", folder.path, "FILE_UNREADABLE", /llama-steer-/],
    ["a file of another kind", inRepository("package.json"), "MODEL_INVALID", /not a GGUF model/],
    ["a damaged model", damaged, "MODEL_INVALID", /damaged\.gguf/],
] as const;

for (const [what, path, code, message] of failures) {
    test(`inspect refuses ${what}`, (t) => expectFailure(t, ["inspect", path], [1, code, message]));
}
