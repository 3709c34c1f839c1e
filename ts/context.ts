import { lease, release } from "./buffer-lease.js";
import { Capture } from "./capture.js";
import type { CaptureOptions } from "./capture-request.js";
import { checkObject, checkOneOf, checkSignal, describe } from "./check.js";
import { Generation } from "./generation.js";
import { GenerationHub } from "./generation-hub.js";
import type { GenerationOptions } from "./generation-options.js";
import { countLogits, logitsMemory } from "./logits-memory.js";
import type { Model } from "./model.js";
import type { NativeContext, NativeEntry, NativeStepListener } from "./native.js";
import { readersOf } from "./row-readers.js";
import { runTask } from "./run-task.js";
import { Sequence } from "./sequence.js";
import { type Sites, sitesOf } from "./site.js";
import { SteerError } from "./steer-error.js";
import { SteeringRegistry } from "./steering-registry.js";

export interface ContextOptions {
    /** Sequences that can live side by side, 1 to 256. Default 1. */
    sequences?: number;
    /** Tokens each sequence can hold. Default: what the model was trained with. */
    contextSize?: number;
    /** Tokens per forward pass, of all sequences together. Default 512. */
    batchSize?: number;
    /**
     * Prompt tokens of answers per forward pass at most, of all prompts together: a pass takes the time of its tokens, and
     * every answer, and whoever asks meanwhile, waits for it. Half of it is divided equally, so that no prompt stands
     * still, and half goes to the shortest. Default: what the batch has room for.
     */
    promptBudget?: number;
    /** Threads that compute. Default: all cores. */
    threads?: number;
    /**
     * Tokens that all sequences hold together, in one memory. Default: contextSize for each. Less saves memory where not
     * all of them are full at once; one for each sequence is the least. llama.cpp rounds it up to a multiple of 256.
     */
    memoryTokens?: number;
    /** One memory for all sequences (default), or one for each: better where all have about the same length. */
    unifiedMemory?: boolean;
    /** Type of the keys and values kept: `"f16"` (default), or `"f32"` for twice the memory and no rounding there. */
    memoryType?: "f16" | "f32";
    /**
     * Flash attention on or off; by default on where the device has it. Off, with `memoryType: "f32"` and float32 weights,
     * a sequence's logits are the same alone and in a batch to about 1e-5.
     */
    flashAttention?: boolean;
    /**
     * `"own"` (default): on a CPU, operators of ours where they are faster than llama.cpp's: flash attention that reads of
     * a shared memory only what each sequence has there, and products of Q8_0 matrices. `"upstream"`: llama.cpp's alone,
     * for results that equal its own bit for bit.
     */
    operators?: "own" | "upstream";
}

/** Tokens to append to a sequence in one {@link Context.evaluate}. */
export interface EvaluateEntry {
    sequence: Sequence;
    /** Text (encoded as it is) or token ids. */
    tokens: string | Int32Array;
    /** Of which tokens the logits are wanted. Default `"none"`. */
    logits?: "none" | "last" | "all";
    /**
     * What the tokens are, for steering and capture that look at it: a whole `"prompt"` (default), a part of a prompt
     * that another part follows, or tokens `"generated"` as an answer.
     */
    kind?: "prompt" | "prompt-part" | "generated";
}

export interface EvaluateOptions {
    /**
     * Where the logits go, instead of a new array: rows of vocabularySize floats. Lent until the evaluation is done; an
     * ArrayBuffer cannot be transferred any more once it was lent.
     */
    into?: Float32Array;
    /**
     * The evaluation, and whatever is called after it, waits in its place until this has settled, either way. With an answer
     * started behind it in each sequence, all of them take their first step together.
     */
    after?: Promise<unknown>;
    signal?: AbortSignal;
}

export interface Evaluation {
    /** The logits asked for, [logitsRows][vocabularySize] in the order of entries and tokens. */
    logits: Float32Array;
    logitsRows: number;
}

/** What a context has done so far. */
export interface ContextStatistics {
    /** Compute graphs built; a change of strengths builds none. */
    graphsBuilt: number;
    graphsReused: number;
    decodes: number;
    tokens: number;
    /** Of captured rows, the bytes that no layer could write in place. */
    captureBytesCopied: number;
    /** Tokens in its memory now; what sequences share counts once. */
    heldTokens: number;
    /** Tokens that may still come of all that was asked for: a prompt's, and an answer's up to its longest. */
    promisedTokens: number;
}

const logitsRows = ["none", "last", "all"] as const;
const tokenKinds = ["prompt", "prompt-part", "generated"] as const;
/** What an evaluation can fail with after it began to compute. */
const codesOfBegun: readonly string[] = [
    "ABORTED",
    "CONTEXT_FULL",
    "DECODE_FAILED",
    "OUT_OF_MEMORY",
    "SITE_UNKNOWN",
    "SCHEDULE_FAILED",
    "INTERNAL",
];

function checkPromise(after: unknown): void {
    if (after !== undefined && !(after instanceof Promise)) {
        throw new SteerError("INVALID_ARGUMENT", `after must be a Promise, not ${describe(after)}`);
    }
}

/**
 * Memory for sequences of one model, and a native thread that computes them. Operations run in call order; generations
 * of all sequences advance together, one batch per step. Made by {@link Model.createContext}.
 */
export class Context {
    readonly #native: NativeContext;
    readonly #hub: GenerationHub;
    readonly #sequences = new Map<number, Sequence>();
    readonly #captures = new Map<number, Capture>();
    /** Places of sequences that were given back, until what they held is gone. */
    readonly #emptying = new Map<number, Promise<void>>();
    #sites: Sites | undefined;
    #closed: Promise<void> | undefined;
    #disposed: Promise<void> | undefined;

    readonly model: Model;
    /** @internal The interventions of its sequences. */
    readonly registry: SteeringRegistry;
    /** The options in force. */
    readonly options: Readonly<Required<Omit<ContextOptions, "flashAttention">>>;

    /** @internal */
    static async create(
        model: Model,
        start: (onStep: NativeStepListener, onLive: SteeringRegistry["answer"]) => Promise<NativeContext>,
    ): Promise<Context> {
        const hub = new GenerationHub();
        const registry = new SteeringRegistry();
        return new Context(model, await start(hub.onStep, registry.answer), hub, registry);
    }

    private constructor(model: Model, native: NativeContext, hub: GenerationHub, registry: SteeringRegistry) {
        this.model = model;
        this.registry = registry;
        this.#native = native;
        this.#hub = hub;
        this.options = Object.freeze(native.options());
    }

    /**
     * Claims a free sequence, empty and not steered. Give it back with {@link Sequence.dispose}.
     *
     * @throws SteerError TOO_MANY_SEQUENCES, DISPOSED
     */
    sequence(): Sequence {
        this.#check();
        for (let id = 0; id < this.options.sequences; id++) {
            if (!this.#sequences.has(id)) {
                const sequence = new Sequence(this, this.#native, id);
                this.#sequences.set(id, sequence);
                return sequence;
            }
        }
        throw new SteerError(
            "TOO_MANY_SEQUENCES",
            `all ${this.options.sequences} sequences of this context are in use: dispose one, or create the context ` +
                "with more",
        );
    }

    /** How many sequences {@link sequence} would still give. */
    get freeSequences(): number {
        return this.options.sequences - this.#sequences.size;
    }

    /**
     * Appends tokens to sequences, many of them in one batch, and brings logits and captures. All or nothing: on failure
     * or abort every sequence is as before.
     *
     * @throws SteerError PROMPT_EMPTY, PROMPT_TOO_LONG, SEQUENCE_BUSY, BUFFER_TOO_SMALL, BUFFER_DETACHED, BUFFER_IN_USE,
     *   NO_ROW_SELECTED, CONTEXT_FULL, ABORTED, DISPOSED, DECODE_FAILED, INVALID_ARGUMENT
     */
    async evaluate(entries: readonly EvaluateEntry[], options: EvaluateOptions = {}): Promise<Evaluation> {
        this.#check();
        checkObject(options, "options");
        checkSignal(options.signal);
        checkPromise(options.after);
        const nativeEntries = this.#nativeEntries(entries);
        const wanted = countLogits(nativeEntries);
        const width = this.model.info.vocabularySize;
        const logits = logitsMemory(options.into, wanted * width);
        const memories = [...this.#captures.values()].map((capture) => capture.data);
        lease(logits);
        // It replaces captured rows: it waits for those who read them, and what is called after it waits as well.
        const awaited: Promise<unknown>[] = memories.flatMap(readersOf);
        if (options.after !== undefined) {
            awaited.push(options.after);
        }
        let begun = false;
        const evaluating = runTask(() => {
            const into = wanted === 0 ? undefined : logits;
            const task = this.#native.evaluate(nativeEntries, into, memories, awaited.length > 0);
            begun = true;
            void Promise.allSettled(awaited).then(() => task.start?.());
            return task;
        }, options.signal);
        for (const { sequence } of entries) {
            sequence.follow(evaluating);
        }
        const ids = entries.map(({ sequence }) => sequence.id);
        const result = await evaluating
            .catch((error) => this.#afterFailure(this.registry.explain(error, ids), begun))
            .finally(() => release(logits));
        for (const labels of result.captures) {
            this.#captures.get(labels.id)?.receive(labels);
        }
        return { logits: logits.subarray(0, wanted * width), logitsRows: wanted };
    }

    /** Captured rows stay when an evaluation is refused. One that failed after it began may have replaced some. */
    #afterFailure(error: unknown, begun: boolean): never {
        if (begun && error instanceof SteerError && codesOfBegun.includes(error.code)) {
            for (const capture of this.#captures.values()) {
                capture.forget();
            }
        }
        throw error;
    }

    #nativeEntries(entries: readonly EvaluateEntry[]): NativeEntry[] {
        if (!Array.isArray(entries)) {
            throw new SteerError("INVALID_ARGUMENT", `entries must be an array, not ${describe(entries)}`);
        }
        return entries.map((entry: EvaluateEntry) => {
            checkObject(entry, "an entry");
            const { sequence, tokens, logits = "none", kind = "prompt" } = entry;
            if (!(sequence instanceof Sequence) || sequence.context !== this) {
                throw new SteerError("INVALID_ARGUMENT", "an entry's sequence must be one of this context");
            }
            sequence.checkUsable();
            checkOneOf(logits, logitsRows, "logits");
            checkOneOf(kind, tokenKinds, "kind");
            if (typeof tokens !== "string" && !(tokens instanceof Int32Array)) {
                throw new SteerError(
                    "INVALID_ARGUMENT",
                    `tokens must be text or an Int32Array, not ${describe(tokens)}`,
                );
            }
            return {
                sequence: sequence.id,
                tokens: typeof tokens === "string" ? this.model.encodePrompt(tokens, sequence.empty) : tokens,
                generated: kind === "generated",
                endsPrompt: kind === "prompt",
                logits: logitsRows.indexOf(logits),
            };
        });
    }

    /**
     * Captures a site in every following {@link evaluate}, until the capture is disposed. The graph writes the rows
     * straight into the capture's memory. Answers are captured by {@link GenerationOptions.capture}.
     *
     * @throws SteerError SITE_UNKNOWN, LAYER_OUT_OF_RANGE, BUFFER_TOO_SMALL, BUFFER_DETACHED, BUFFER_IN_USE, DISPOSED,
     *   INVALID_ARGUMENT
     */
    capture(options: CaptureOptions = {}): Capture {
        this.#check();
        checkObject(options, "options");
        const host = { native: this.#native, sites: this.sites(), tokenizer: this.model.tokenizer, ...this.options };
        const capture = Capture.attach(host, options, (ended) => {
            this.#captures.delete(ended);
            // While the context closes, its last operation may still be writing.
            return this.#closed;
        });
        this.#captures.set(capture.id, capture);
        return capture;
    }

    /** What can be captured, as {@link Model.sites} has it. */
    sites(): Sites {
        this.#check();
        this.#sites ??= sitesOf(this.#native.sites());
        return this.#sites;
    }

    get statistics(): ContextStatistics {
        this.#check();
        return this.#native.statistics();
    }

    /** @internal */
    startGeneration(sequence: Sequence, prompt: Int32Array, options: GenerationOptions): Generation {
        this.#check();
        const host = {
            native: this.#native,
            hub: this.#hub,
            registry: this.registry,
            tokenizer: this.model.tokenizer,
            sites: () => this.sites(),
            contextSize: this.options.contextSize,
        };
        return new Generation(host, sequence.id, prompt, options, () => sequence.recount());
    }

    /** @internal */
    release(sequence: Sequence, emptied: Promise<unknown>): Promise<void> {
        const { id } = sequence;
        this.#sequences.delete(id);
        const gone = (): void => {
            if (this.#emptying.get(id) === released) {
                this.#emptying.delete(id);
            }
        };
        // It can only fail because the context is being disposed, which frees the sequence as well.
        const released = emptied.then(gone, gone);
        this.#emptying.set(id, released);
        return released;
    }

    /** @internal Tokens of a sequence; none of those that its place held before. */
    positionOf({ id }: Sequence): number {
        return this.#emptying.has(id) ? 0 : this.#native.position(id);
    }

    /** True once {@link dispose} was called. */
    get disposed(): boolean {
        return this.#disposed !== undefined;
    }

    #check(): void {
        if (this.disposed) {
            throw new SteerError("DISPOSED", "the context was disposed");
        }
    }

    /**
     * Ends generations and rejects queued operations with DISPOSED, waits for the operation in flight, frees memory and
     * thread. Calling it again does nothing.
     */
    dispose(): Promise<void> {
        this.#disposed ??= this.#close();
        return this.#disposed;
    }

    async #close(): Promise<void> {
        this.#closed = this.#native.dispose();
        await this.#closed;
        this.model.forget(this);
        await Promise.all([...this.#captures.values()].map((capture) => capture.dispose()));
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }
}
