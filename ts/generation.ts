import { Activations } from "./activations.js";
import { lease, release } from "./buffer-lease.js";
import { labelsByLayer } from "./capture.js";
import { type CaptureOptions, type CaptureRequest, captureRequest } from "./capture-request.js";
import { checkSignal } from "./check.js";
import type { GenerationHub, TokenAlternative, TokenExtras } from "./generation-hub.js";
import { type GenerationOptions, nativeOptions, stopStrings } from "./generation-options.js";
import type { NativeCaptureLabels, NativeContext, NativeGenerationEnd } from "./native.js";
import { readersOf } from "./row-readers.js";
import { abortError } from "./run-task.js";
import type { Sites } from "./site.js";
import type { SteerError } from "./steer-error.js";
import type { Steering } from "./steering.js";
import type { SteeringRegistry } from "./steering-registry.js";
import { rowsPerPrompt } from "./token-selection.js";
import type { Tokenizer } from "./tokenizer.js";

/** One generated token. */
export interface GeneratedToken {
    token: number;
    /** The text it completes, up to a stop string; empty while a character is still incomplete. */
    text: string;
    /** ln p(token) under the (steered) model, before grammar, bias, penalty, temperature and filters. */
    logProbability: number;
    /**
     * What the interventions that report (`"track"`, `"observe"`) found on the row that chose this token: projections, layer
     * by layer and in each layer vector by vector. Absent where none reports.
     */
    projections?: ReadonlyMap<Steering, Float32Array>;
    /** The most probable tokens that could have come, as {@link GenerationOptions.alternatives} asks. Absent where it does not. */
    alternatives?: readonly TokenAlternative[];
}

/** A finished answer. */
export interface GenerationResult {
    /** What came before the stop string, if one came. */
    text: string;
    /**
     * The tokens of the text. One that a stop string begins within is among them, and its text cut there; those that lie
     * wholly within it are not, although the sequence's memory holds them.
     */
    tokens: Int32Array;
    logProbabilities: Float32Array;
    /** Mean of `logProbabilities`; 0 for an empty answer. */
    meanLogProbability: number;
    /** An end token or a stop string came, `maxTokens` were chosen, or the sequence is full. */
    finishReason: "stop" | "length" | "context";
    /** Tokens of the prompt that {@link GenerationOptions.sharePrefix} took from another sequence. */
    sharedTokens: number;
    /** The end token that came: the model's own, or one of {@link GenerationOptions.stopTokens}. */
    stopToken?: number;
    /** Which of {@link GenerationOptions.stop} came. */
    stopString?: string;
    /** What {@link GenerationOptions.capture} asked for. */
    activations?: Activations;
}

/** What a generation needs to know of its context. */
export interface GenerationHost {
    native: NativeContext;
    hub: GenerationHub;
    registry: SteeringRegistry;
    tokenizer: Tokenizer;
    sites: () => Sites;
    contextSize: number;
}

/**
 * An answer being generated. It starts at once and runs whether or not it is read: iterate it for the tokens as they
 * come, or await {@link result}. Leaving the loop early ends it.
 */
export class Generation implements AsyncIterable<GeneratedToken> {
    readonly #tokenizer: Tokenizer;
    readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    readonly #tokens: GeneratedToken[] = [];
    readonly #native: NativeContext;
    readonly #signal: AbortSignal | undefined;
    readonly #id: number = 0;
    readonly #onFailure: () => void;
    readonly #onAbort = (): void => this.#native.cancel(this.#id);
    readonly #capture: CaptureRequest | undefined;
    readonly #stop: readonly string[];
    #end: NativeGenerationEnd | undefined;
    #wake: (() => void) | undefined;
    #awake: Promise<void> | undefined;

    /** @internal Use {@link Sequence.generate}. */
    constructor(
        host: GenerationHost,
        sequence: number,
        prompt: Int32Array,
        options: GenerationOptions,
        onFailure: () => void,
    ) {
        const { signal, capture } = options;
        checkSignal(signal);
        this.#stop = stopStrings(options.stop);
        this.#tokenizer = host.tokenizer;
        this.#native = host.native;
        this.#signal = signal;
        this.#onFailure = onFailure;
        if (signal?.aborted) {
            this.#end = {
                generation: 0,
                reason: "stop",
                failure: abortError(signal),
                stopToken: -1,
                stopString: -1,
                sharedTokens: 0,
            };
            queueMicrotask(onFailure);
            return;
        }
        const settings = nativeOptions(options);
        this.#capture = capture === undefined ? undefined : requestOf(capture, host, prompt.length, settings.maxTokens);
        this.#id = this.#start(sequence, prompt, settings);
        host.hub.add(this.#id, {
            push: (token, logProbability, textBytes, extras) => {
                this.#push(token, logProbability, textBytes, definedExtras(extras, host.registry));
            },
            end: (end) => this.#finish(withCause(end, host.registry, sequence)),
        });
        signal?.addEventListener("abort", this.#onAbort, { once: true });
    }

    #start(sequence: number, prompt: Int32Array, settings: object): number {
        if (this.#capture === undefined) {
            return this.#native.generate(sequence, prompt, settings, false);
        }
        const { memory, native } = this.#capture;
        lease(memory);
        try {
            const readers = readersOf(memory);
            const held = readers.length > 0;
            const id = this.#native.generate(sequence, prompt, { ...settings, capture: native }, held);
            if (held) {
                void Promise.all(readers).then(() => this.#native.start(id));
            }
            return id;
        } catch (error) {
            release(memory);
            throw error;
        }
    }

    #push(token: number, logProbability: number, textBytes: number, extras: Partial<GeneratedToken>): void {
        const bytes = this.#tokenizer.bytes(token);
        const text = this.#decoder.decode(textBytes < 0 ? bytes : bytes.subarray(0, textBytes), { stream: true });
        this.#tokens.push({ token, text, logProbability, ...extras });
        this.#wake?.();
    }

    #finish(end: NativeGenerationEnd): void {
        this.#signal?.removeEventListener("abort", this.#onAbort);
        const last = this.#tokens.at(-1);
        if (last !== undefined) {
            // An answer cut inside a character: what there is of it becomes U+FFFD.
            last.text += this.#decoder.decode();
        }
        if (end.failure?.code === "ABORTED" && this.#signal?.aborted) {
            end.failure = abortError(this.#signal, "the generation was aborted");
        }
        this.#end = end;
        if (this.#capture !== undefined) {
            release(this.#capture.memory);
        }
        if (end.failure !== undefined) {
            this.#onFailure();
        }
        this.#wake?.();
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<GeneratedToken, void, undefined> {
        for await (const batch of this.batches()) {
            yield* batch;
        }
    }

    /**
     * The tokens in lists, never empty: all that have come since the list before. For readers who are slower than the
     * model, or who write what they read: one write instead of many. Leaving the loop early ends the answer.
     */
    batches(): AsyncGenerator<readonly GeneratedToken[], void, undefined> {
        return this.#batches();
    }

    async *#batches(): AsyncGenerator<readonly GeneratedToken[], void, undefined> {
        let next = 0;
        try {
            for (;;) {
                while (next < this.#tokens.length) {
                    const batch = this.#tokens.slice(next);
                    next += batch.length;
                    yield batch;
                }
                if (this.#end !== undefined) {
                    break;
                }
                await this.#news();
            }
            if (this.#end.failure !== undefined) {
                throw this.#end.failure;
            }
        } finally {
            await this.abort();
        }
    }

    /**
     * The whole answer, when it is finished.
     *
     * @throws SteerError PROMPT_EMPTY, PROMPT_TOO_LONG, SEQUENCE_BUSY, BUFFER_TOO_SMALL, CONTEXT_FULL, ABORTED,
     *   DISPOSED, DECODE_FAILED, NO_TOKEN_LEFT, INVALID_ARGUMENT
     */
    async result(): Promise<GenerationResult> {
        while (this.#end === undefined) {
            await this.#news();
        }
        if (this.#end.failure !== undefined) {
            throw this.#end.failure;
        }
        const logProbabilities = Float32Array.from(this.#tokens, (each) => each.logProbability);
        const sum = logProbabilities.reduce((total, each) => total + each, 0);
        return {
            text: this.#tokens.map((each) => each.text).join(""),
            tokens: Int32Array.from(this.#tokens, (each) => each.token),
            logProbabilities,
            meanLogProbability: this.#tokens.length === 0 ? 0 : sum / this.#tokens.length,
            finishReason: this.#end.reason,
            sharedTokens: this.#end.sharedTokens,
            ...(this.#end.stopToken < 0 ? {} : { stopToken: this.#end.stopToken }),
            ...(this.#end.stopString < 0 ? {} : { stopString: this.#stop[this.#end.stopString] as string }),
            ...this.#activations(this.#end.captured),
        };
    }

    #activations(labels: NativeCaptureLabels | undefined): { activations?: Activations } {
        if (this.#capture === undefined || labels === undefined) {
            return {};
        }
        const { site, layers, width, capacity, memory } = this.#capture;
        return { activations: new Activations(site, layers, width, capacity, memory, labelsByLayer(labels)) };
    }

    /** The tokens that have come so far. */
    get tokens(): readonly GeneratedToken[] {
        return this.#tokens;
    }

    /** True once the answer is finished, has failed or was aborted. */
    get ended(): boolean {
        return this.#end !== undefined;
    }

    /** Ends the generation and waits until its sequence is free again. Does nothing once it has ended. */
    async abort(): Promise<void> {
        if (this.#end === undefined) {
            this.#native.cancel(this.#id);
        }
        while (this.#end === undefined) {
            await this.#news();
        }
    }

    /** Resolves when a token or the end has come. */
    #news(): Promise<void> {
        this.#awake ??= new Promise((resolve) => {
            this.#wake = () => {
                this.#awake = undefined;
                this.#wake = undefined;
                resolve();
            };
        });
        return this.#awake;
    }
}

/** The rows of an answer are bounded by its length, and those of the prompt are known. */
function requestOf(
    capture: CaptureOptions,
    host: GenerationHost,
    promptTokens: number,
    maxTokens: number,
): CaptureRequest {
    return captureRequest(capture, host.sites(), host.tokenizer, (rows) => {
        const answer = Math.max(1, Math.min(maxTokens, host.contextSize));
        // One more than the prompt: a token that the answer before left pending goes first.
        return rowsPerPrompt(rows) ?? (rows === "generated" ? answer + 1 : promptTokens + 1 + answer);
    });
}

function definedExtras(
    { projections, alternatives }: TokenExtras,
    registry: SteeringRegistry,
): Partial<GeneratedToken> {
    return {
        ...(projections === undefined ? {} : { projections: bySteering(projections, registry) }),
        ...(alternatives === undefined ? {} : { alternatives }),
    };
}

function bySteering(
    projections: ReadonlyMap<number, Float32Array>,
    registry: SteeringRegistry,
): ReadonlyMap<Steering, Float32Array> {
    const found = new Map<Steering, Float32Array>();
    for (const [id, values] of projections) {
        const steering = registry.find(id);
        if (steering !== undefined) {
            found.set(steering, values);
        }
    }
    return found;
}

function withCause(end: NativeGenerationEnd, registry: SteeringRegistry, sequence: number): NativeGenerationEnd {
    return end.failure === undefined
        ? end
        : { ...end, failure: registry.explain(end.failure, [sequence]) as SteerError };
}
