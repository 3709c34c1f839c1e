import type { ChatMessage } from "./chat-template.js";
import { checkObject } from "./check.js";
import type { Context, EvaluateEntry, EvaluateOptions, Evaluation } from "./context.js";
import type { Generation } from "./generation.js";
import { checkGenerationOptions, type GenerationOptions } from "./generation-options.js";
import type { NativeContext } from "./native.js";
import { SteerError } from "./steer-error.js";
import type { SteerOptions } from "./steer-options.js";
import { Steering } from "./steering.js";
import { checkConflicts } from "./steering-conflicts.js";
import type { SteeringVector } from "./steering-vector.js";

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
        return this.context.positionOf(this);
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
        const { into, after, signal, ...entry } = options;
        return this.context.evaluate([{ sequence: this, tokens, ...entry }], {
            ...(into === undefined ? {} : { into }),
            ...(after === undefined ? {} : { after }),
            ...(signal === undefined ? {} : { signal }),
        });
    }

    /**
     * Adds an intervention to this sequence, from its next token on: by default `strength * vector` is added to the residual
     * stream. Interventions act in the order they were made. Takes effect in call order; while a generation runs, at its
     * next step.
     *
     * A vector acts at every layer it has unless `layers` says where, and what is added at one layer is still there at the
     * next: a strength that is right for one layer is too much for all.
     *
     * @param vectors what it acts along; several as {@link SteerOptions} says of each operation
     * @throws SteerError WIDTH_MISMATCH, LAYER_OUT_OF_RANGE, SITE_UNKNOWN, NOT_FINITE, ZERO_VECTOR, NORMS_MISSING,
     *   STEERING_CONFLICT, INVALID_ARGUMENT, DISPOSED
     */
    steer(vectors: SteeringVector | readonly SteeringVector[], options: SteerOptions = {}): Steering {
        this.checkUsable();
        const { model } = this.context;
        const steering = new Steering(
            {
                native: model.native,
                directions: model.directions,
                tokenizer: model.tokenizer,
                changed: (removed) => this.#apply(removed),
                setNumbers: (intervention, numbers) => {
                    this.checkUsable();
                    this.#native.setNumbers(intervention, numbers);
                },
                check: (checked) =>
                    checkConflicts(
                        checked,
                        this.#steering.filter((each) => each !== checked),
                    ),
            },
            vectors,
            options,
        );
        this.#steering.push(steering);
        this.#apply();
        return steering;
    }

    /** Sends the list of interventions to the native thread, without `removed`. */
    #apply(removed?: Steering): void {
        this.checkUsable();
        this.#steering = this.#steering.filter((each) => each !== removed);
        this.context.registry.set(this.id, this.#steering);
        this.#native.setSteering(
            this.id,
            this.#steering.map((each) => each.native),
        );
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

    /**
     * Takes the longest beginning of `prompt` that another sequence of this context holds and that was computed with the very
     * steering this sequence has now, without computing it again. Steering is compared by its contents, token by token: what
     * acts on generated tokens only does not keep a prompt from being shared. The prompt's last token is always left to
     * compute. {@link GenerationOptions.sharePrefix} does it on the way to an answer.
     *
     * @returns how many tokens it got: evaluate the others. 0 where nobody holds any, and for models whose memory is
     *   recurrent or has slid on
     * @throws SteerError SEQUENCE_BUSY (it holds tokens), INVALID_ARGUMENT (memories that are not unified), DISPOSED
     */
    async sharePrefix(prompt: string | readonly ChatMessage[] | Int32Array): Promise<number> {
        this.checkUsable();
        const sharing = this.#native.sharePrefix(this.id, this.context.model.encodePrompt(prompt, this.#empty));
        const count = await sharing;
        this.recount();
        return count;
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
            this.#empty = this.context.positionOf(this) === 0;
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
     * Where no answer is being generated, the place is free at once, and only the promise waits. Calling it again does
     * nothing.
     */
    dispose(): Promise<void> {
        const running = this.#running.filter((each) => !each.ended);
        this.#disposed ??=
            running.length === 0
                ? this.#release()
                : Promise.all(running.map((each) => each.abort())).then(() => this.#release());
        return this.#disposed;
    }

    /** What is called for the place after this also runs after this, so that nobody has to wait for it. */
    #release(): Promise<void> {
        this.#steering = [];
        this.context.registry.set(this.id, []);
        let emptied: Promise<unknown> = Promise.resolve();
        if (!this.context.disposed) {
            this.#native.setSteering(this.id, []);
            emptied = this.#native.truncate(this.id, 0);
        }
        return this.context.release(this, emptied);
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }
}
