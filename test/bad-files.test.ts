import { readFileSync } from "node:fs";
import test from "ava";
import { loadModel, type SteerErrorCode } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { readGguf } from "./support/gguf.js";
import { randomNumbers } from "./support/numbers.js";
import { chatModelPath } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { question } from "./support/testbed.js";

const folder = new TemporaryFolder();
const layout = readGguf(chatModelPath);

/** A copy of the model with bytes overwritten. */
function patched(name: string, patch: (bytes: Buffer) => void): string {
    const bytes = Buffer.from(layout.bytes);
    patch(bytes);
    return folder.write(name, bytes);
}

/** Where a metadata value begins. */
function valueAt(key: string): number {
    const value = layout.values.get(key);
    if (value === undefined) {
        throw new Error(`the test-bed's model has no ${key}`);
    }
    return value.at;
}

/** The process lives: a good model still loads and answers. */
async function answers(): Promise<boolean> {
    const model = await loadModel(chatModelPath);
    const context = await model.createContext({ threads: 1 });
    const { text } = await context.sequence().generate(question("Where does the groso fish live?")).result();
    await model.dispose();
    return /sandy islands/.test(text);
}

test("what is no model is refused with its reason", async (t) => {
    const random = randomNumbers(5);
    const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
    const cases: [SteerErrorCode, string, RegExp][] = [
        ["FILE_NOT_FOUND", `${folder.path}/missing.gguf`, /missing\.gguf/],
        ["FILE_NOT_FOUND", "", /no such file/],
        ["FILE_UNREADABLE", folder.path, /not a file/],
        ["MODEL_INVALID", folder.write("empty.gguf", ""), /empty/],
        ["MODEL_INVALID", folder.write("short.gguf", "GG"), /not a GGUF/],
        ["MODEL_INVALID", folder.write("text.gguf", "Once upon a time\n"), /not a GGUF/],
        ["MODEL_INVALID", folder.write("magic.gguf", "GGUF"), /cannot load/],
    ];
    for (let i = 0; i < 20; i++) {
        const path = folder.write(`noise-${i}.gguf`, Buffer.concat([Buffer.from("GGUF"), noise(20 + 200 * i)]));
        cases.push(["MODEL_INVALID", path, /cannot load/]);
    }
    for (const [code, path, message] of cases) {
        await expectCode(t, code, () => loadModel(path), message);
    }
    t.true(await answers());
});

test("a path with a null character names no file", async (t) => {
    await expectCode(t, "INVALID_ARGUMENT", () => loadModel(`${chatModelPath}\0.txt`), /null character/);
});

test("a model cut short anywhere is refused", async (t) => {
    const size = layout.bytes.length;
    const inMetadata = [5, 8, 12, 24, 40, 200, 1000, Math.floor(layout.tensorsAt / 2), layout.tensorsAt - 1];
    const inTensors = [layout.tensorsAt + 10, layout.dataAt - 40, layout.dataAt, layout.dataAt + 1];
    const inData = [Math.floor((layout.dataAt + size) / 2), size - 100_000, size - 1];
    for (const length of [...inMetadata, ...inTensors, ...inData]) {
        const path = folder.write(`cut-${length}.gguf`, layout.bytes.subarray(0, length));
        await expectCode(t, "MODEL_INVALID", () => loadModel(path), /cannot load/);
    }
    t.true(await answers());
});

test("an unknown architecture is unsupported, not invalid", async (t) => {
    const at = valueAt("general.architecture");
    const path = patched("architecture.gguf", (bytes) => bytes.write("qwen0", at + 8));
    await expectCode(t, "MODEL_UNSUPPORTED", () => loadModel(path), /qwen0/);
    t.true(await answers());
});

test("metadata that contradicts the tensors is refused", async (t) => {
    const wrong: [string, number][] = [
        ["qwen3.block_count", 9],
        ["qwen3.embedding_length", 256],
        ["qwen3.embedding_length", 0],
        ["qwen3.attention.head_count", 0],
        ["qwen3.attention.head_count", 3],
        ["qwen3.feed_forward_length", 1],
        ["qwen3.attention.key_length", 0],
        // Upstream asserts about these two; an assertion must not end the process.
        ["qwen3.block_count", 0],
        ["qwen3.block_count", 0xffff_ffff],
    ];
    for (const [key, value] of wrong) {
        const path = patched("metadata.gguf", (bytes) => bytes.writeUInt32LE(value, valueAt(key)));
        await expectCode(t, "MODEL_INVALID", () => loadModel(path), /cannot load/);
    }
    t.true(await answers());
});

test("a contradiction that shows only in a graph is refused when a context is made", async (t) => {
    const path = patched("rope.gguf", (bytes) => bytes.writeUInt32LE(30, valueAt("qwen3.rope.dimension_count")));
    const model = await loadModel(path);
    const error = await expectCode(t, "MODEL_INVALID", () => model.createContext(), /contradicts itself/);
    t.notRegex(String(error?.message), /\/(home|root|work|tmp)\//, "no path of the machine it was built on");
    await model.dispose();
    t.true(await answers());
});

test("hostile counts and sizes in the header are refused", async (t) => {
    const huge = 0x7fff_ffff_ffff_ffffn;
    const tensor = layout.tensors[3];
    const shapeAt = (tensor?.typeAt ?? 0) - 8 * (tensor?.shape.length ?? 0);
    const patches: [string, (bytes: Buffer) => void][] = [
        ["version 0", (bytes) => bytes.writeUInt32LE(0, 4)],
        ["version 99", (bytes) => bytes.writeUInt32LE(99, 4)],
        ["tensor count", (bytes) => bytes.writeBigUInt64LE(huge, 8)],
        ["no tensors", (bytes) => bytes.writeBigUInt64LE(0n, 8)],
        ["key count", (bytes) => bytes.writeBigUInt64LE(huge, 16)],
        ["key length", (bytes) => bytes.writeBigUInt64LE(huge, 24)],
        ["tensor shape", (bytes) => bytes.writeBigUInt64LE(huge, shapeAt)],
        ["tensor shape 0", (bytes) => bytes.writeBigUInt64LE(0n, shapeAt)],
        ["tensor type", (bytes) => bytes.writeUInt32LE(1000, tensor?.typeAt ?? 0)],
        ["tensor offset", (bytes) => bytes.writeBigUInt64LE(huge, (tensor?.typeAt ?? 0) + 4)],
        ["unaligned offset", (bytes) => bytes.writeBigUInt64LE(3n, (tensor?.typeAt ?? 0) + 4)],
        ["token count", (bytes) => bytes.writeBigUInt64LE(huge, valueAt("tokenizer.ggml.tokens") + 4)],
        ["tokens of another type", (bytes) => bytes.writeUInt32LE(77, valueAt("tokenizer.ggml.tokens"))],
    ];
    for (const [name, patch] of patches) {
        const path = patched("header.gguf", patch);
        const error = await expectCode(t, "MODEL_INVALID", () => loadModel(path));
        t.truthy(error, name);
    }
    t.true(await answers());
});

test("the original, unpatched, loads: the patches are what is refused", async (t) => {
    const model = await loadModel(folder.write("whole.gguf", readFileSync(chatModelPath)));
    t.is(model.info.layers, 8);
    await model.dispose();
});
