import type { ChatMessage } from "./chat-template.js";
import { checkFinite, checkObject } from "./check.js";
import type { Context, EvaluateEntry, EvaluateOptions, Evaluation } from "./context.js";
import type { Generation } from "./generation.js";
import { checkGenerationOptions, type GenerationOptions } from "./generation-options.js";
import type { NativeContext } from "./native.js";
import { SteerError } from "./steer-error.js";
import { Steering, type SteerOptions } from "./steering.js";
import { SteeringVector } from "./steering-vector.js";
import { compileSelection } from "./token-selection.js";

/**
 * One conversation in a context: its tokens and its steering. Made by {@link Context.sequence}; touches no other
 * sequence, whatever is done to it.
 */
export class Sequence {
    readonly #native: NativeContext;
    #steering: Steering[] = [];
    #running: Generation[] = [];
    #disposed: Promise<void> | undefined;
    #empty = true;

    readonly context: Context;
    /** Its number in the context, which labels of captured rows carry. */
    readonly id: number;

    /** @internal */
    constructor(context: Context, native: NativeContext, id: number) {
        this.context = context;
        this.#native = native;
        this.id = id;
    }

    /** Tokens in its memory. */
    get position(): number {
        this.checkUsable();
        return this.#native.position(this.id);
    }

    /**
     * Appends a prompt and generates an answer. Messages go through the model's chat template; text is taken as it is.
     * Generations of several sequences advance together, in one batch per step.
     *
     * @throws SteerError PROMPT_EMPTY, CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_FAILED, GRAMMAR_INVALID, INVALID_ARGUMENT,
     *   DISPOSED at once; the others of {@link Generation.result} there
     */
    generate(prompt: string | readonly ChatMessage[] | Int32Array, options: GenerationOptions = {}): Generation {
        this.checkUsable();
        checkGenerationOptions(options);
        const tokens = this.context.model.encodePrompt(prompt, this.#empty);
        const generation = this.context.startGeneration(this, tokens, options);
        this.#empty = false;
        this.#running = [...this.#running.filter((each) => !each.ended), generation];
        return generation;
    }

    /**
     * Appends tokens without generating. See {@link Context.evaluate}, which does it for many sequences at once.
     */
    async evaluate(
        tokens: string | Int32Array,
        options: EvaluateOptions & Omit<EvaluateEntry, "sequence" | "tokens"> = {},
    ): Promise<Evaluation> {
        checkObject(options, "options");
        const { into, signal, ...entry } = options;
        return this.context.evaluate([{ sequence: this, tokens, ...entry }], {
            ...(into === undefined ? {} : { into }),
            ...(signal === undefined ? {} : { signal }),
        });
    }

    /**
     * Adds `strength * vector` to the residual stream of this sequence from its next token on. Interventions add up in
     * the order they were made. Takes effect in call order; while a generation runs, at its next step.
     *
     * The vector acts at every layer it has unless `layers` says where, and what is added at one layer is still there at
     * the next: a strength that is right for one layer is too much for all.
     *
     * @throws SteerError WIDTH_MISMATCH, LAYER_OUT_OF_RANGE, NOT_FINITE, INVALID_ARGUMENT, DISPOSED
     */
    steer(vector: SteeringVector, options: SteerOptions = {}): Steering {
        this.checkUsable();
        checkObject(options, "options");
        const { strength = 1, tokens = "all", layers } = options;
        if (!(vector instanceof SteeringVector)) {
            throw new SteerError("INVALID_ARGUMENT", "vector must be a SteeringVector");
        }
        checkFinite(strength, "strength");
        const selection = compileSelection(tokens, "tokens", this.context.model.tokenizer);
        const selected = layers === undefined ? vector : vector.select(layers);
        const directions = this.context.model.directionsOf(selected);
        const steering = new Steering(selected, directions, strength, tokens, selection, (removed) =>
            this.#apply(removed),
        );
        this.#steering.push(steering);
        this.#apply();
        return steering;
    }

    /** Sends the list of interventions to the native thread, without `removed`. */
    #apply(removed?: Steering): void {
        this.checkUsable();
        this.#steering = this.#steering.filter((each) => each !== removed);
        const list = this.#steering.map((each) => each.toNative());
        this.#native.setSteering(this.id, list);
    }

    /** The interventions in force, in order. */
    get steering(): readonly Steering[] {
        return this.#steering;
    }

    /** Removes all interventions. */
    unsteer(): void {
        this.checkUsable();
        this.#steering = [];
        this.#apply();
    }

    /**
     * Forgets all tokens from `position` on (0: all). Models with recurrent memory forget everything.
     *
     * @throws SteerError SEQUENCE_BUSY while generating, DISPOSED
     */
    truncate(position: number): Promise<void> {
        this.checkUsable();
        const cut = this.#native.truncate(this.id, position);
        this.#empty = this.#empty || position === 0;
        cut.catch(() => this.recount());
        return cut;
    }

    /** Forgets all tokens; steering stays. */
    clear(): Promise<void> {
        return this.truncate(0);
    }

    /** @internal Whether the next token will be its first, when all that was called before has run. */
    get empty(): boolean {
        return this.#empty;
    }

    /** @internal Tokens were asked to be appended. */
    follow(appending: Promise<unknown>): void {
        this.#empty = false;
        appending.catch(() => this.recount());
    }

    /** @internal Something failed: what the sequence holds is no longer known from the calls. */
    recount(): void {
        if (this.#disposed === undefined && !this.context.disposed) {
            this.#empty = this.#native.position(this.id) === 0;
        }
    }

    /** @internal */
    checkUsable(): void {
        if (this.#disposed !== undefined) {
            throw new SteerError("DISPOSED", "the sequence was disposed");
        }
        if (this.context.disposed) {
            throw new SteerError("DISPOSED", "the context was disposed");
        }
    }

    /**
     * Ends the answer being generated, waits for evaluations, forgets all tokens and gives the place back to the context.
     * Calling it again does nothing.
     */
    dispose(): Promise<void> {
        this.#disposed ??= this.#release();
        return this.#disposed;
    }

    async #release(): Promise<void> {
        await Promise.all(this.#running.map((each) => each.abort()));
        this.#steering = [];
        if (!this.context.disposed) {
            this.#native.setSteering(this.id, []);
            // It can only fail because the context is being disposed, which frees the sequence as well.
            await this.#native.truncate(this.id, 0).catch(() => {});
        }
        this.context.release(this);
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }
}
