import type { Context, Sequence } from "llama-steer";
import type { Prompt } from "./prompts.js";

/** The residual stream of every layer at the last token of each of some prompts. */
export class Residuals {
    readonly #prompts: readonly Prompt[];
    readonly #rows: Float32Array;
    readonly #hiddenSize: number;
    readonly layers: readonly number[];

    /** @param rows [layers][prompts][hiddenSize] */
    constructor(prompts: readonly Prompt[], layers: readonly number[], rows: Float32Array) {
        this.#prompts = prompts;
        this.#rows = rows;
        this.#hiddenSize = rows.length / layers.length / prompts.length;
        this.layers = layers;
    }

    /** The rows of those prompts that are in `only`, in our order: [layers][their number][hiddenSize]. */
    of(only: readonly Prompt[]): Float32Array {
        const picked = this.#prompts.flatMap((prompt, i) => (only.includes(prompt) ? [i] : []));
        const rows = new Float32Array(this.layers.length * picked.length * this.#hiddenSize);
        this.layers.forEach((_, layer) => {
            picked.forEach((from, to) => {
                const begin = (layer * this.#prompts.length + from) * this.#hiddenSize;
                const row = this.#rows.subarray(begin, begin + this.#hiddenSize);
                rows.set(row, (layer * picked.length + to) * this.#hiddenSize);
            });
        });
        return rows;
    }
}

/** Captures them. Prompts of different lengths share forward passes; only their last rows leave the graph. */
export async function residualsAtPromptEnd(
    context: Context,
    prompts: readonly Prompt[],
    onRows?: (count: number) => void,
): Promise<Residuals> {
    const { layers, hiddenSize } = context.model.info;
    const width = context.options.sequences;
    const rows = new Float32Array(layers * prompts.length * hiddenSize);
    const sequences = Array.from({ length: Math.min(width, prompts.length) }, () => context.sequence());
    const capture = context.capture({ site: "residual", rows: "last-prompt" });
    for (let begin = 0; begin < prompts.length; begin += width) {
        const part = prompts.slice(begin, begin + width);
        await context.evaluate(
            part.map((prompt, i) => ({
                sequence: sequences[i] as Sequence,
                tokens: context.model.encodePrompt([{ role: "user", content: prompt.prompt }]),
            })),
        );
        for (const layer of capture.layers) {
            const labels = capture.labels(layer).sequence;
            labels.forEach((sequence, row) => {
                const prompt = begin + sequences.findIndex((each) => each.id === sequence);
                rows.set(capture.row(layer, row), (layer * prompts.length + prompt) * hiddenSize);
            });
        }
        await Promise.all(sequences.map((sequence) => sequence.clear()));
        onRows?.(part.length);
    }
    await capture.dispose();
    await Promise.all(sequences.map((sequence) => sequence.dispose()));
    return new Residuals(prompts, capture.layers, rows);
}
