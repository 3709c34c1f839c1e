import { type ChatMessage, captureDataset, type Model, SteerError } from "../index.js";
import type { RefusalEvent } from "./events.js";
import type { Prompt } from "./prompt.js";

export interface PromptRowsOptions {
    /** A system message before each prompt. */
    system?: string | undefined;
    threads?: number | undefined;
    signal?: AbortSignal | undefined;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}

/** The residual stream at the last token of prompts, where the answer is decided: one row for each, at every layer. */
export class PromptRows {
    readonly layers: readonly number[];
    readonly width: number;
    readonly #rows: ReadonlyMap<string, number>;
    readonly #data: Float32Array;
    /** Lists asked for before: every direction of a run is fitted on the same. */
    readonly #packed = new WeakMap<readonly Prompt[], Float32Array>();

    private constructor(layers: readonly number[], width: number, prompts: readonly Prompt[], data: Float32Array) {
        this.layers = layers;
        this.width = width;
        this.#rows = new Map(prompts.map(({ id }, row) => [id, row]));
        this.#data = data;
    }

    /** @throws SteerError as {@link captureDataset} */
    static async capture(model: Model, prompts: readonly Prompt[], options: PromptRowsOptions): Promise<PromptRows> {
        const { system, threads, signal, onEvent } = options;
        const started = performance.now();
        const captured = await captureDataset(
            model,
            prompts.map(({ prompt }) => messagesOf(prompt, system)),
            {
                rows: "last-prompt",
                // What is computed together must not depend on how many contexts there are.
                contexts: 1,
                ...(threads === undefined ? {} : { threads }),
                ...(signal === undefined ? {} : { signal }),
                onProgress: ({ done, total, occupancy }) =>
                    onEvent?.({
                        type: "progress",
                        stage: "capture",
                        done,
                        total,
                        found: 0,
                        occupancy,
                        seconds: (performance.now() - started) / 1000,
                    }),
            },
        );
        return new PromptRows(captured.layers, captured.width, prompts, captured.packed());
    }

    /**
     * [layers][prompts.length][width], in the order of `prompts`; the same array for the same list.
     *
     * @throws SteerError INVALID_ARGUMENT (a prompt unknown)
     */
    of(prompts: readonly Prompt[]): Float32Array {
        const before = this.#packed.get(prompts);
        if (before !== undefined) {
            return before;
        }
        const packed = new Float32Array(this.layers.length * prompts.length * this.width);
        this.layers.forEach((layer, slot) => {
            prompts.forEach((prompt, i) => {
                packed.set(this.row(layer, prompt), (slot * prompts.length + i) * this.width);
            });
        });
        this.#packed.set(prompts, packed);
        return packed;
    }

    /** [width]: a view. @throws SteerError INVALID_ARGUMENT */
    row(layer: number, { id }: Prompt): Float32Array {
        const [row, slot] = [this.#rows.get(id), this.layers.indexOf(layer)];
        if (row === undefined || slot < 0) {
            throw new SteerError("INVALID_ARGUMENT", `there is no row of prompt ${id} at layer ${layer}`);
        }
        const begin = (slot * this.#rows.size + row) * this.width;
        return this.#data.subarray(begin, begin + this.width);
    }

    /** [prompts.length]: projections v̂ᵀh of their rows on a direction, in float64. */
    projections(layer: number, direction: Float32Array, prompts: readonly Prompt[]): Float64Array {
        const length = Math.sqrt(dot(direction, direction));
        return Float64Array.from(prompts, (prompt) => dot(direction, this.row(layer, prompt)) / length);
    }
}

/** @internal The conversation that a prompt begins. */
export function messagesOf(prompt: string, system: string | undefined): ChatMessage[] {
    const user = { role: "user", content: prompt };
    return system === undefined ? [user] : [{ role: "system", content: system }, user];
}

/** @internal In float64. */
export function dot(a: Float32Array, b: Float32Array): number {
    let sum = 0;
    for (let i = 0; i < a.length; i++) {
        sum += (a[i] as number) * (b[i] as number);
    }
    return sum;
}
