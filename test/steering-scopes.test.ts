import test from "ava";
import { SteeringVector, type TokenSelection } from "llama-steer";
import { logSoftmax, maxDifference, randomVector } from "./support/numbers.js";
import { chatContext, chatModel, exactContext, question, questions } from "./support/testbed.js";

const vector = new SteeringVector([2, 3], randomVector(2 * 128, 1, 0.5));

const prompt = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(question(questions[0]));

/** Whether a scope includes the token at `position`, for a prompt of `length` tokens. */
const scopes: readonly [TokenSelection, (position: number, length: number) => boolean][] = [
    ["all", () => true],
    ["prompt", (position, length) => position < length],
    ["last-prompt", (position, length) => position === length - 1],
    ["generated", (position, length) => position >= length],
    ["last-prompt-and-generated", (position, length) => position >= length - 1],
];

for (const [scope, acts] of scopes) {
    test(`tokens "${scope}" are exactly those steered`, async (t) => {
        const tokens = await prompt();
        const half = tokens.length >> 1;
        const pieces = [
            { tokens: tokens.subarray(0, half), kind: "prompt-part" },
            { tokens: tokens.subarray(half), kind: "prompt" },
            { tokens: Int32Array.of(20, 21), kind: "generated" },
            { tokens: Int32Array.of(22), kind: "generated" },
        ] as const;
        const rows = async (steered: boolean): Promise<Float32Array[]> => {
            const context = await chatContext();
            const capture = context.capture({ layers: 2 });
            const sequence = context.sequence();
            if (steered) {
                sequence.steer(vector.select(2), { tokens: scope, strength: 2 });
            }
            const found: Float32Array[] = [];
            for (const piece of pieces) {
                await sequence.evaluate(piece.tokens, { kind: piece.kind });
                for (let row = 0; row < capture.rowCount(2); row++) {
                    found[capture.labels(2).position[row] as number] = capture.row(2, row).slice();
                }
            }
            await context.dispose();
            return found;
        };
        const [plain, steered] = [await rows(false), await rows(true)];
        t.is(steered.length, tokens.length + 3);
        steered.forEach((row, position) => {
            const factor = acts(position, tokens.length) ? 2 : 0;
            const expected = plain[position]?.map((each, i) => each + factor * (vector.layer(2)[i] as number));
            t.true(maxDifference(row, expected ?? []) < 1e-5, `position ${position}`);
        });
    });
}

test("generation steers by the same scopes as evaluation", async (t) => {
    const tokens = await prompt();
    for (const [scope] of scopes) {
        const context = await exactContext({ sequences: 2, batchSize: 8 });
        const options = { tokens: scope, strength: 3, layers: [2] };
        const generating = context.sequence();
        generating.steer(vector, options);
        const answer = await generating.generate(tokens, { maxTokens: 4 }).result();

        const evaluating = context.sequence();
        evaluating.steer(vector, options);
        let { logits } = await evaluating.evaluate(tokens, { logits: "last" });
        for (const [i, token] of answer.tokens.entries()) {
            const expected = logSoftmax(logits)[token] as number;
            t.true(Math.abs((answer.logProbabilities[i] as number) - expected) < 1e-4, `${scope} token ${i}`);
            ({ logits } = await evaluating.evaluate(Int32Array.of(token), { logits: "last", kind: "generated" }));
        }
        await context.dispose();
    }
});
