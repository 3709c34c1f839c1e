import test from "ava";
import type { Activations, CaptureOptions, GenerationResult, TokenSelection } from "llama-steer";
import { endless } from "./support/answer.js";
import { maxDifference } from "./support/numbers.js";
import { positionsAt, rowAt, sameBits } from "./support/rows.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

const width = 128;
const lastLayer = 7;
const promptTokens = 17;

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const prompt = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(question(questions[0]));

/** Positions that a selection takes of the 17 tokens of the prompt and those of the answer, up to `end`. */
const selections: readonly [rows: TokenSelection, positions: (end: number) => number[]][] = [
    ["all", (end) => range(0, end)],
    ["generated", (end) => range(promptTokens, end)],
    ["last-prompt-and-generated", (end) => range(promptTokens - 1, end)],
    ["prompt", () => range(0, promptTokens)],
    ["last-prompt", () => [promptTokens - 1]],
    ["outputs", (end) => range(promptTokens - 1, end)],
    [{ positions: -1 }, () => [promptTokens - 1]],
    [{ positions: [19, 0, -2, 17] }, () => [0, 15, 17, 19]],
    [{ between: ["<|im_start|>", "<|im_end|>"] }, (end) => [...range(1, 12), ...range(15, end)]],
    [{ between: ["assistant", "<|im_end|>"], withMarkers: true }, (end) => range(15, end)],
];

async function answered(capture: CaptureOptions | undefined, maxTokens = 8): Promise<GenerationResult> {
    const context = await chatContext();
    const options = { maxTokens, ...(capture === undefined ? {} : { capture }) };
    const result = await context
        .sequence()
        .generate(await prompt(), options)
        .result();
    await context.dispose();
    return result;
}

/** Rows of evaluating the same tokens in the batches that a generation makes of them, all of one layer by position. */
async function replayed(answer: Int32Array): Promise<(layer: number, position: number) => Float32Array> {
    const context = await chatContext();
    const capture = context.capture({ rows: "all" });
    const sequence = context.sequence();
    const steps: Activations[] = [];
    await sequence.evaluate(await prompt(), { logits: "all" });
    steps.push(capture.copy());
    for (const token of answer) {
        await sequence.evaluate(Int32Array.of(token), { kind: "generated", logits: "last" });
        steps.push(capture.copy());
    }
    await context.dispose();
    return (layer, position) => rowAt(steps[Math.max(0, position - promptTokens + 1)] as Activations, layer, position);
}

for (const [rows, positions] of selections) {
    test(`rows ${JSON.stringify(rows)} of an answer are those of evaluating the same tokens`, async (t) => {
        const plain = await answered(undefined);
        t.is(plain.activations, undefined);
        const { activations, ...rest } = await answered({ rows });
        t.deepEqual(rest.tokens, plain.tokens);
        t.is(rest.finishReason, "length");
        t.true(maxDifference(rest.logProbabilities, plain.logProbabilities) < 1e-3);

        const captured = activations as Activations;
        const tokens = [...(await prompt()), ...plain.tokens];
        const expected = positions(tokens.length - 1);
        const replay = await replayed(plain.tokens);
        for (const layer of captured.layers) {
            const cut = rows === "all" && layer === lastLayer;
            const taken = cut ? positions(tokens.length - 1).slice(promptTokens - 1) : expected;
            t.deepEqual(positionsAt(captured, layer), taken, `layer ${layer}: the last token has no row`);
            t.deepEqual([...captured.labels(layer).sequence], Array(taken.length).fill(0));
            t.deepEqual(
                [...captured.labels(layer).token],
                taken.map((position) => tokens[position]),
            );
            for (const position of taken) {
                const [row, same] = [rowAt(captured, layer, position), replay(layer, position)];
                // Below the last block every batch is the same; there it depends on how many rows are computed.
                const equal = layer < lastLayer ? sameBits(row, same) : maxDifference(row, same) < 3e-2;
                t.true(equal, `layer ${layer} position ${position}`);
            }
        }
    });
}

test("the end token that a model chooses has no row, and all tokens before it have", async (t) => {
    const { activations, tokens, finishReason } = await answered({ rows: "generated" }, 64);
    t.is(finishReason, "stop");
    t.true(tokens.length > 3);
    for (const layer of [0, lastLayer]) {
        t.deepEqual(activations?.labels(layer).token, tokens);
    }
    t.is(activations?.packed().length, 8 * tokens.length * width);
});

test("an answer of one token has the rows of its prompt only", async (t) => {
    for (const [rows, count] of [
        ["all", promptTokens],
        ["generated", 0],
        ["last-prompt-and-generated", 1],
    ] as const) {
        const { activations } = await answered({ rows }, 1);
        t.is(activations?.rowCount(0), count, rows);
        t.is(activations?.layer(0).length, count * width);
    }
});

test("an answer that fills its context is captured to the last place", async (t) => {
    const context = await chatContext({ contextSize: 32 });
    const capture = { rows: "all" } as const;
    const options = { capture, logitBias: await endless(), maxTokens: 1000 };
    const { activations, finishReason } = await context
        .sequence()
        .generate(await prompt(), options)
        .result();
    t.is(finishReason, "context");
    t.deepEqual(positionsAt(activations as Activations, 0), range(0, 32));
    await context.dispose();
});

test("a prompt of several passes is captured whole", async (t) => {
    const context = await chatContext({ batchSize: 4 });
    for (const [rows, positions] of selections) {
        const sequence = context.sequence();
        const { activations, tokens } = await sequence
            .generate(await prompt(), { maxTokens: 5, capture: { rows } })
            .result();
        t.deepEqual(positionsAt(activations as Activations, 3), positions(promptTokens + tokens.length - 1));
        await sequence.dispose();
    }
    await context.dispose();
});

test("site, layers and type are those asked for", async (t) => {
    const capture = { site: "ffn_up", layers: { from: 5 }, type: "f16", rows: "generated" } as const;
    const { activations } = await answered(capture);
    const floats = (await answered({ ...capture, type: "f32" })).activations as Activations;
    t.is(activations?.site, "ffn_up");
    t.deepEqual(activations?.layers, [5, 6, 7]);
    t.is(activations?.width, 384);
    t.is(activations?.type, "f16");
    t.true(activations?.data instanceof Uint16Array);
    t.is(activations?.rowCount(7), 7);
    for (const layer of [5, 6, 7]) {
        const exact = floats.layer(layer);
        const scale = exact.reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
        t.true(maxDifference(activations?.layer(layer) ?? [], exact) < scale * 2 ** -11);
    }
});

test("a second turn begins with the token that the first left behind, and holds nothing of the first", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const first = await sequence.generate(await prompt(), { capture: { rows: "all" } }).result();
    t.is(first.finishReason, "stop");
    const kept = first.activations?.copy();
    const at = sequence.position;
    t.is(at, promptTokens + first.tokens.length);
    const { tokenizer } = context.model;
    const next = tokenizer.encode(`\n<|im_start|>user\n${questions[1]}<|im_end|>\n<|im_start|>assistant\n`, {
        parseSpecial: true,
    });
    const end = tokenizer.encode("<|im_end|>", { parseSpecial: true });
    const run = async (rows: TokenSelection): Promise<Activations> => {
        await sequence.truncate(at);
        const answer = await sequence.generate(Int32Array.from([...end, ...next]), { capture: { rows } }).result();
        return answer.activations as Activations;
    };
    const second = await sequence.generate(next, { capture: { rows: "all" } }).result();
    const answerEnd = at + 1 + next.length + second.tokens.length;
    t.is(sequence.position, answerEnd);
    const all = second.activations as Activations;
    t.deepEqual(positionsAt(all, 0), range(at, answerEnd));
    t.deepEqual([...all.labels(0).token], [...end, ...next, ...second.tokens]);
    t.deepEqual(first.activations?.copy(), kept, "the first answer's rows stay");

    const same = await run("all");
    t.true(sameBits(same.layer(3), all.layer(3)), "the same as if the end token had been given");
    t.deepEqual(positionsAt(await run("generated"), 0), range(at + 1 + next.length, answerEnd));
    t.deepEqual(positionsAt(await run({ positions: [-1, at] }), 0), [at, at + next.length]);
    await context.dispose();
});
