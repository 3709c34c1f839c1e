import test from "ava";
import type { Capture, Context, EvaluateEntry, TokenSelection } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { positionsAt, strangeRow } from "./support/rows.js";
import { type SelectableToken, selectedPositions } from "./support/selections.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

const lastLayer = 7;
const [start, end] = [897, 898];
const layers = [0, 4, lastLayer];

const ids = (...tokens: number[]): Int32Array => Int32Array.from(tokens);
const conversation = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(question(questions[0]));

/** Selections that may take nothing of an evaluation without being refused. */
const selections: readonly TokenSelection[] = [
    "all",
    "prompt",
    "last-prompt",
    "generated",
    "last-prompt-and-generated",
    { between: [ids(start), ids(end)] },
    { between: [ids(start), ids(end)], withMarkers: true },
    { between: [ids(492, 270), ids(684)] },
    { between: [ids(492, 270), ids(582, 684)], withMarkers: true },
    { between: [ids(10), ids(10)], withMarkers: true },
    { between: [ids(end), ids(42)] },
    { between: [ids(41), ids(42)] },
];

type Kind = NonNullable<EvaluateEntry["kind"]>;
type Logits = NonNullable<EvaluateEntry["logits"]>;

/** What was evaluated of one sequence so far, as a selection sees it. */
class History {
    readonly tokens: SelectableToken[] = [];

    /** Appends and returns how many tokens were there before. */
    append(tokens: Int32Array, kind: Kind, logits: Logits): number {
        const before = this.tokens.length;
        const end = before + tokens.length;
        tokens.forEach((token, i) => {
            const last = i + 1 === tokens.length;
            this.tokens.push({
                token,
                phase: kind === "generated" ? "generated" : last && kind === "prompt" ? "last-prompt" : "prompt",
                output: logits === "all" || (logits === "last" && last),
                ...(kind === "prompt" ? { promptEnd: end } : {}),
            });
        });
        return before;
    }
}

/** Evaluates a conversation in parts, and compares what each capture holds after each part. */
async function checkParts(
    context: Context,
    logits: Logits,
    check: (capture: Capture, history: History, from: number, name: string) => void,
    chosen: readonly TokenSelection[],
): Promise<void> {
    const all = context.capture({ layers, rows: "all", capacity: 64 });
    const captures = chosen.map((rows) => context.capture({ layers, rows, capacity: 64 }));
    const tokens = await conversation();
    const history = new History();
    const sequence = context.sequence();
    const parts: [Int32Array, Kind][] = [
        [tokens.subarray(0, 7), "prompt-part"],
        [tokens.subarray(7), "prompt"],
        [ids(411, 736, 424, end), "generated"],
        [ids(10), "generated"],
        [tokens, "prompt"],
    ];
    for (const [part, kind] of parts) {
        const from = history.append(part, kind, logits);
        await sequence.evaluate(part, { kind, logits });
        for (const [i, capture] of captures.entries()) {
            const name = `${JSON.stringify(chosen[i])} ${kind} of ${part.length} from ${from}, logits ${logits}`;
            check(capture, history, from, name);
            const stranger = strangeRow(capture, all);
            if (stranger !== undefined) {
                throw new Error(`${name}: ${stranger}`);
            }
        }
    }
    await context.dispose();
}

for (const batchSize of [512, 5]) {
    for (const logits of ["none", "last", "all"] as const) {
        test(`every selection takes its rows of "all", in passes of ${batchSize} tokens, with logits "${logits}"`, async (t) => {
            const context = await chatContext({ batchSize });
            const check = (capture: Capture, history: History, from: number, name: string): void => {
                const expected = selectedPositions(capture.rows, history.tokens).filter((each) => each >= from);
                for (const layer of layers) {
                    // The last block computes chosen rows, but for those that choose all.
                    if (layer < lastLayer || capture.rows !== "all") {
                        t.deepEqual(positionsAt(capture, layer), expected, `${name}, layer ${layer}`);
                    }
                }
            };
            await checkParts(context, logits, check, selections);
        });

        test(`"outputs" are the tokens whose logits were asked for, in passes of ${batchSize}, logits "${logits}"`, async (t) => {
            const context = await chatContext({ batchSize });
            const check = (capture: Capture, history: History, from: number, name: string): void => {
                const expected = selectedPositions("outputs", history.tokens).filter((each) => each >= from);
                for (const layer of layers) {
                    t.deepEqual(positionsAt(capture, layer), expected, `${name}, layer ${layer}`);
                }
            };
            await checkParts(context, logits, check, ["outputs"]);
        });
    }
}

test("positions count from the sequence's first token, negative ones from the end of the prompt", async (t) => {
    const tokens = await conversation();
    for (const batchSize of [512, 4]) {
        const context = await chatContext({ sequences: 2, batchSize });
        const [a, b] = [context.sequence(), context.sequence()];
        const all = context.capture({ capacity: 64 });
        const wanted = [0, 3, -1, -2, [-1], [0, 5, -1], [-17, -3, 16], [30, 2]];
        const captures = wanted.map((positions) => context.capture({ rows: { positions } }));
        await context.evaluate([
            { sequence: a, tokens },
            { sequence: b, tokens: tokens.subarray(0, 4) },
        ]);
        const histories = [tokens, tokens.subarray(0, 4)].map((each) => {
            const history = new History();
            history.append(each, "prompt", "none");
            return history;
        });
        for (const capture of captures) {
            for (const [id, history] of histories.entries()) {
                const expected = selectedPositions(capture.rows, history.tokens);
                t.deepEqual(positionsAt(capture, 0, id), expected, JSON.stringify(capture.rows));
                t.deepEqual(positionsAt(capture, lastLayer, id), expected, JSON.stringify(capture.rows));
            }
            t.is(strangeRow(capture, all), undefined);
        }
        t.deepEqual(
            captures.map((each) => each.capacity),
            [2, 2, 2, 2, 2, 6, 6, 4],
            "room for each position of each sequence",
        );
        await context.dispose();
    }
});

test("positions in a second prompt: from the sequence's beginning, or from the end of the second", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    await sequence.evaluate(await conversation());
    await sequence.evaluate(ids(411, 736), { kind: "generated" });
    const captures = [20, -1, [19, -4], [3, -2]].map((positions) => context.capture({ rows: { positions } }));
    await sequence.evaluate(ids(5, 6, 7, 8), { kind: "prompt" });
    t.deepEqual(
        captures.map((each) => positionsAt(each, 2)),
        [[20], [22], [19], [21]],
    );
    await context.dispose();
});

test("positions of which an evaluation has none are refused before anything is computed", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    await sequence.evaluate(ids(1, 2, 3));
    for (const [positions, kind] of [
        [40, "prompt"],
        [[0, 1], "prompt"],
        [-5, "prompt"],
        [-1, "prompt-part"],
        [[-1, -2], "generated"],
    ] as const) {
        const capture = context.capture({ rows: { positions } });
        const decodes = context.statistics.decodes;
        await expectCode(t, "NO_ROW_SELECTED", () => sequence.evaluate(ids(4, 5, 6), { kind }), /dispose/);
        t.is(sequence.position, 3);
        t.is(context.statistics.decodes, decodes);
        await capture.dispose();
    }
    await sequence.evaluate(ids(4, 5, 6));
    t.is(sequence.position, 6);
    await context.dispose();
});

test("markers as text are those as token ids, and begin before the capture does", async (t) => {
    const context = await chatContext();
    const tokens = await conversation();
    const sequence = context.sequence();
    await sequence.evaluate(tokens.subarray(0, 3), { kind: "prompt-part" });
    const markers = [
        ["<|im_start|>", "<|im_end|>"],
        [ids(start), ids(end)],
        ["<|im_start|>user\n", "<|im_end|>\n"],
        [ids(start, 283, 10), "<|im_end|>\n"],
    ] as const;
    const captures = markers.flatMap((between) =>
        [false, true].map((withMarkers) => context.capture({ rows: { between, withMarkers } })),
    );
    await sequence.evaluate(tokens.subarray(3));
    const [line, tags] = [
        [3, 4, 5, 6, 7, 8, 9, 10, 11],
        [15, 16],
    ] as const;
    t.deepEqual(
        captures.map((each) => positionsAt(each, lastLayer)),
        [
            [...line, ...tags],
            [...line, 12, 14, ...tags],
            [...line, ...tags],
            [...line, 12, 14, ...tags],
            [...line, 12],
            [...line, 12, 13],
            [...line, 12],
            [...line, 12, 13],
        ],
    );
    await context.dispose();
});
