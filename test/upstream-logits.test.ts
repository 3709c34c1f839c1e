import test, { type ExecutionContext } from "ava";
import {
    type Context,
    type ContextOptions,
    loadVector,
    type Model,
    type SteeringVector,
    saveVector,
} from "llama-steer";
import { readGguf, tensorValues, toFloat32 } from "./support/gguf.js";
import { argMax, maxDifference } from "./support/numbers.js";
import { chatModelPath } from "./support/paths.js";
import { chatModel, exactModel } from "./support/testbed.js";
import { runTool, upstreamTool } from "./support/upstream-tools.js";
import { directionPart, ggufBytes, newFile, newPath, textPart, vectorOf } from "./support/vector-files.js";

// Logits of llama.cpp's own `llama-results` under a control vector that we wrote, against ours under the same vector.

/** The same settings on both sides. */
interface Setting {
    name: string;
    model: () => Promise<Model>;
    path: () => string;
    options: ContextOptions;
    args: readonly string[];
}

let exactPath: string | undefined;
const settings: readonly Setting[] = [
    {
        name: "float32 weights, no flash attention",
        model: exactModel,
        path: () => {
            exactPath ??= newFile(".gguf", toFloat32(chatModelPath));
            return exactPath;
        },
        options: { flashAttention: false, memoryType: "f32" },
        args: ["-fa", "off", "-ctk", "f32", "-ctv", "f32"],
    },
    {
        name: "the file as it is, with the defaults: float16 weights and memory, flash attention",
        model: chatModel,
        path: () => chatModelPath,
        options: { flashAttention: true, memoryType: "f16" },
        args: ["-fa", "on", "-ctk", "f16", "-ctv", "f16"],
    },
];

/**
 * Prompts of 8, 8 and 16 tokens: llama-results computes the size of its results without the padding of ggml's objects, and
 * stops at an assertion unless the tokens take a multiple of 16 bytes.
 */
const prompts = [
    "Where does the groso fish live",
    "What colour is the groso fish",
    "By whom was the Diary of Stegre written?",
] as const;

/** [tokens][vocabulary], as the tool writes them: its tensor's dimensions are given the other way round. */
function upstreamLogits(
    t: ExecutionContext,
    tool: string,
    setting: Setting,
    prompt: string,
    control: readonly string[],
): { tokens: Int32Array; logits: Float32Array } | undefined {
    const out = newPath(".gguf");
    const common = ["-m", setting.path(), "-p", prompt, "-o", out, "-t", "1", "-c", "256", "-ngl", "0"];
    const { status, output } = runTool(tool, [...common, ...setting.args, ...control]);
    if (status !== 0) {
        t.fail(output.slice(-800));
        return undefined;
    }
    const layout = readGguf(out);
    const at = layout.dataAt + (layout.tensors.find(({ name }) => name === "tokens")?.offset ?? 0);
    const count = layout.tensors.find(({ name }) => name === "tokens")?.shape[0] ?? 0;
    const tokens = Int32Array.from({ length: count }, (_, i) => layout.bytes.readInt32LE(at + 4 * i));
    return { tokens, logits: tensorValues(layout, "logits") };
}

async function ourLogits(
    context: Context,
    tokens: Int32Array,
    steer?: [SteeringVector, number],
): Promise<Float32Array> {
    const sequence = context.sequence();
    if (steer !== undefined) {
        sequence.steer(steer[0], { strength: steer[1] });
    }
    const { logits } = await context.evaluate([{ sequence, tokens, logits: "all" }]);
    await sequence.dispose();
    return logits;
}

for (const setting of settings) {
    test(`a vector that we write steers llama.cpp as it steers us: ${setting.name}`, async (t) => {
        const tool = upstreamTool(t, "llama-results");
        if (tool === undefined) {
            return;
        }
        const model = await setting.model();
        const context = await model.createContext({ threads: 1, contextSize: 256, ...setting.options });
        const plain = vectorOf([1, 3, 4, 7], 128, 5, { metadata: { model: model.info } });
        let worst = 0;
        for (const prompt of prompts) {
            for (const [vector, strength] of [
                [plain, 0.75],
                [plain.select(3), -2.5],
                [plain.select(7), 1],
            ] as const) {
                const path = newPath(".gguf");
                await saveVector(vector, path);
                const control = ["--control-vector-scaled", `${path}:${strength}`];
                const theirs = upstreamLogits(t, tool, setting, prompt, control);
                if (theirs === undefined) {
                    return;
                }
                t.deepEqual(theirs.tokens, model.tokenizer.encode(prompt), "the same tokens");
                const ours = await ourLogits(context, theirs.tokens, [await loadVector(path, { model }), strength]);
                worst = Math.max(worst, maxDifference(ours, theirs.logits));
                const unsteered = await ourLogits(context, theirs.tokens);
                t.true(maxDifference(unsteered, theirs.logits) > 0.1, "steering changes the logits");
                t.is(argMax(ours.subarray(-899)), argMax(theirs.logits.subarray(-899)));
            }
        }
        t.log(`largest difference of a logit: ${worst}`);
        t.true(worst <= 1e-5, `${worst}`);
        await context.dispose();
    });
}

test("unsteered logits are equal as well, so that what is compared is the steering", async (t) => {
    const tool = upstreamTool(t, "llama-results");
    if (tool === undefined) {
        return;
    }
    for (const setting of settings) {
        const context = await (await setting.model()).createContext({
            threads: 1,
            contextSize: 256,
            ...setting.options,
        });
        const theirs = upstreamLogits(t, tool, setting, prompts[0], []);
        const ours = theirs && (await ourLogits(context, theirs.tokens));
        t.true(ours !== undefined && maxDifference(ours, theirs?.logits ?? []) <= 1e-5, setting.name);
        await context.dispose();
    }
});

test("llama.cpp takes nothing of the files that it would misread", async (t) => {
    const tool = upstreamTool(t, "llama-results");
    if (tool === undefined) {
        return;
    }
    const setting = settings[1] as Setting;
    const vector = vectorOf([0, 3], 128, 6);
    const zero = [
        directionPart("direction.0", [...vector.layer(0)]),
        directionPart("direction.3", [...vector.layer(3)]),
    ];
    const [own, ablating] = [newPath(".gguf"), newPath(".gguf")];
    await saveVector(vector, own, { layout: "own" });
    await saveVector(vector.select(3).withMetadata({ operation: "ablate" }), ablating);
    const zeroth = newFile(".gguf", ggufBytes([textPart("general.architecture", "controlvector")], zero));
    const context = await (await setting.model()).createContext({ threads: 1, contextSize: 256, ...setting.options });
    for (const path of [own, ablating, zeroth]) {
        // The tool says what is wrong with the vector, unless it ends before its log is written, and goes on without it.
        const theirs = upstreamLogits(t, tool, setting, prompts[0], ["--control-vector", path]);
        const unsteered = theirs && (await ourLogits(context, theirs.tokens));
        t.true(unsteered !== undefined && maxDifference(unsteered, theirs?.logits ?? []) <= 1e-5);
    }
    await context.dispose();
});
