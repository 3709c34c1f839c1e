import test from "ava";
import type { CaptureOptions, Context, EvaluateEntry, Sequence, TokenSelection } from "llama-steer";
import { toHalf } from "./support/half.js";
import { randomNumbers } from "./support/numbers.js";
import { positionsAt, rowAt, strangeRow } from "./support/rows.js";
import { type SelectableToken, selectedPositions } from "./support/selections.js";
import { chatContext } from "./support/testbed.js";

const sites = ["residual", "residual_mid", "attention_out", "mlp_out", "attention_heads", "ffn_up"];
const kinds = ["prompt", "prompt-part", "generated"] as const;
const logits = ["none", "last", "all"] as const;
const lastLayer = 7;
const vocabulary = 20;

/** A context that is used at random, and what its sequences hold. */
class World {
    readonly #random: () => number;
    readonly #context: Context;
    readonly #sequences: readonly Sequence[];
    readonly #tokens: SelectableToken[][];

    constructor(context: Context, seed: number) {
        this.#random = randomNumbers(seed);
        this.#context = context;
        this.#sequences = Array.from({ length: context.options.sequences }, () => context.sequence());
        this.#tokens = this.#sequences.map(() => []);
    }

    #below(limit: number): number {
        return Math.floor(this.#random() * limit);
    }

    #one<Value>(values: readonly Value[]): Value {
        return values[this.#below(values.length)] as Value;
    }

    #ids(length: number): Int32Array {
        return Int32Array.from({ length }, () => 5 + this.#below(vocabulary));
    }

    #selection(): TokenSelection {
        const simple = ["all", "prompt", "last-prompt", "generated", "last-prompt-and-generated"] as const;
        return this.#below(3) > 0
            ? this.#one(simple)
            : {
                  between: [this.#ids(1 + this.#below(2)), this.#ids(1 + this.#below(2))],
                  withMarkers: this.#below(2) === 0,
              };
    }

    #captureOptions(): CaptureOptions {
        const layers = [0, 1, 2, 3, 4, 5, 6, 7].filter(() => this.#below(3) === 0);
        return {
            site: this.#one(sites),
            layers: layers.length === 0 ? { from: this.#below(8) } : layers,
            rows: this.#selection(),
            type: this.#one(["f32", "f32", "f16"] as const),
            capacity: 400,
        };
    }

    /** Appends to some sequences what was not there, with its phases. */
    #entries(): { entry: EvaluateEntry; id: number; from: number }[] {
        const chosen = this.#sequences.filter((each) => this.#below(2) === 0 && each.position < 200);
        return (chosen.length === 0 ? [this.#sequences[0] as Sequence] : chosen).map((sequence) => {
            const [kind, wanted] = [this.#one(kinds), this.#one(logits)];
            const tokens = this.#ids(1 + this.#below(kind === "generated" ? 3 : 20));
            const held = this.#tokens[sequence.id] as SelectableToken[];
            const from = held.length;
            tokens.forEach((token, i) => {
                const last = i + 1 === tokens.length;
                const phase = kind === "generated" ? kind : last && kind === "prompt" ? "last-prompt" : "prompt";
                held.push({ token, phase, output: wanted === "all" || (last && wanted === "last") });
            });
            return { entry: { sequence, tokens, kind, logits: wanted }, id: sequence.id, from };
        });
    }

    async #cutBack(): Promise<void> {
        for (const sequence of this.#sequences) {
            if (sequence.position > 150 || this.#below(8) === 0) {
                const position = this.#below(sequence.position + 1);
                await sequence.truncate(position);
                (this.#tokens[sequence.id] as SelectableToken[]).length = position;
            }
        }
    }

    /** An answer between evaluations; it is forgotten afterwards. */
    async #answer(): Promise<string | undefined> {
        const sequence = this.#one(this.#sequences);
        const before = sequence.position;
        const capture = this.#captureOptions();
        const { activations } = await sequence.generate(this.#ids(4), { maxTokens: 3, capture }).result();
        await sequence.truncate(before);
        const first = activations?.layers.find((layer) => layer < lastLayer);
        if (capture.rows !== "generated" || first === undefined || activations === undefined) {
            return undefined;
        }
        const wrong = positionsAt(activations, first, sequence.id).some((each) => each < before + 4);
        return wrong ? `an answer at ${before} holds other rows` : undefined;
    }

    /** One evaluation with some captures; what is wrong with them, if anything. */
    async round(): Promise<string | undefined> {
        await this.#cutBack();
        if (this.#below(4) === 0) {
            const wrong = await this.#answer();
            if (wrong !== undefined) {
                return wrong;
            }
        }
        const captures = Array.from({ length: 1 + this.#below(3) }, () =>
            this.#context.capture(this.#captureOptions()),
        );
        const wholes = captures.map(({ site, layers }) => this.#context.capture({ site, layers, capacity: 400 }));
        const entries = this.#entries();
        await this.#context.evaluate(entries.map(({ entry }) => entry));
        for (const [i, capture] of captures.entries()) {
            const whole = wholes[i] as typeof capture;
            const name = `${capture.site} ${capture.type} ${JSON.stringify(capture.rows)} of ${JSON.stringify(entries.map(({ entry: { tokens, kind }, from }) => [kind, tokens.length, from]))}`;
            for (const layer of capture.layers) {
                for (const { id, from } of capture.rows === "all" && layer === lastLayer ? [] : entries) {
                    const expected = selectedPositions(capture.rows, this.#tokens[id] ?? []).filter((at) => at >= from);
                    if (positionsAt(capture, layer, id).join() !== expected.join()) {
                        return `${name}: layer ${layer} holds ${positionsAt(capture, layer, id)}, not ${expected}`;
                    }
                    for (const at of capture.type === "f16" ? expected : []) {
                        const rounded = rowAt(capture, layer, at, id);
                        if (rowAt(whole, layer, at, id).some((each, j) => toHalf(each) !== toHalf(rounded[j] ?? 0))) {
                            return `${name}: layer ${layer} position ${at} is not rounded`;
                        }
                    }
                }
            }
            const stranger = capture.type === "f32" ? strangeRow(capture, whole) : undefined;
            if (stranger !== undefined) {
                return `${name}: ${stranger}`;
            }
        }
        await Promise.all([...captures, ...wholes].map((each) => each.dispose()));
        return undefined;
    }
}

for (const [seed, options] of [
    { sequences: 3, batchSize: 512 },
    { sequences: 4, batchSize: 7 },
    { sequences: 2, batchSize: 16, unifiedMemory: false },
].entries()) {
    test(`captures of all kinds hold their rows, used at random: ${JSON.stringify(options)}`, async (t) => {
        const context = await chatContext({ ...options, flashAttention: seed !== 1 });
        const world = new World(context, seed + 1);
        for (let round = 0; round < 80; round++) {
            const wrong = await world.round();
            if (wrong !== undefined) {
                t.fail(`round ${round}: ${wrong}`);
                break;
            }
        }
        t.pass();
        await context.dispose();
    });
}
