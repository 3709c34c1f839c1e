import { type ChatMessage, ChatTemplate, type ChatTemplateOptions } from "./chat-template.js";
import { checkBoolean, checkObject, checkString } from "./check.js";
import { Context, type ContextOptions } from "./context.js";
import { DirectionCache } from "./direction-cache.js";
import type { NativeModel } from "./native.js";
import { abortError, runTask } from "./run-task.js";
import { type Sites, sitesOf } from "./site.js";
import { SteerError } from "./steer-error.js";
import { Tokenizer } from "./tokenizer.js";

/** What a loaded model is. */
export interface ModelInfo {
    /** llama.cpp's name of the architecture, such as `"qwen3"`. */
    readonly architecture: string;
    /** One line for people. */
    readonly description: string;
    /** Blocks; layers are numbered 0 .. layers-1. */
    readonly layers: number;
    /** Width of the residual stream. */
    readonly hiddenSize: number;
    readonly vocabularySize: number;
    readonly heads: number;
    /** Context length the model was trained with, in tokens. */
    readonly trainingContext: number;
    readonly parameters: number;
    /** Size of the weights. */
    readonly bytes: number;
    /** Recurrent or hybrid: a sequence of it can be cleared but not cut back. */
    readonly recurrent: boolean;
}

/**
 * A loaded model. Made by {@link loadModel}; holds the weights until it is disposed and its contexts are gone.
 *
 * Not tied to one context: make as many as memory allows.
 */
export class Model {
    /** @internal */
    readonly native: NativeModel;
    readonly #contexts = new Set<Context>();
    #chatTemplate: ChatTemplate | undefined;
    #chatTemplateSource: string;
    #sites: Sites | undefined;
    #disposed: Promise<void> | undefined;

    readonly info: ModelInfo;
    readonly tokenizer: Tokenizer;

    /** @internal Vectors in native memory, made ready for this model. */
    readonly directions: DirectionCache;
    /** @internal Whether layers were asked to lie on a device. */
    readonly onDevice: boolean;

    /** @internal Use {@link loadModel}. */
    constructor(native: NativeModel, onDevice: boolean) {
        this.onDevice = onDevice;
        this.native = native;
        this.directions = new DirectionCache(native);
        const { chatTemplate, beginToken, endToken, addsBeginToken, ...info } = native.info();
        this.info = Object.freeze(info);
        this.tokenizer = new Tokenizer(native);
        this.#chatTemplateSource = chatTemplate;
    }

    /** True where the file carries a chat template. */
    get hasChatTemplate(): boolean {
        return this.#chatTemplateSource !== "";
    }

    /** A metadata value of the GGUF file as text; undefined if the key is absent. */
    metadata(key: string): string | undefined {
        checkString(key, "key");
        return this.native.metadata(key) || undefined;
    }

    /**
     * What can be captured: the sites that mean the same in every architecture, and the nodes of llama.cpp's graph, with
     * their layers and the length of a row. Looked up once, by building the model's graph in a small context.
     *
     * @throws SteerError OUT_OF_MEMORY, MODEL_INVALID, DISPOSED
     */
    async sites(): Promise<Sites> {
        if (this.#disposed !== undefined) {
            throw new SteerError("DISPOSED", "the model was disposed");
        }
        this.#sites ??= sitesOf(await this.native.sites());
        return this.#sites;
    }

    /**
     * The text the model expects for a conversation, by its own chat template.
     *
     * @throws SteerError CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_FAILED, PROMPT_EMPTY, INVALID_ARGUMENT
     */
    applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
        this.#chatTemplate ??= new ChatTemplate(this.#chatTemplateSource, {
            bos_token: this.#specialText(this.tokenizer.beginToken),
            eos_token: this.#specialText(this.tokenizer.endToken),
        });
        return this.#chatTemplate.render(messages, options);
    }

    /**
     * Token ids of a prompt. Text is encoded as it is; messages go through the chat template, whose control tokens are
     * read as such. The begin token is added where the model wants one and it is not there.
     *
     * @throws SteerError as {@link applyChatTemplate}
     */
    encodePrompt(prompt: string | readonly ChatMessage[] | Int32Array, begins = true): Int32Array {
        checkBoolean(begins, "begins");
        if (prompt instanceof Int32Array) {
            return prompt;
        }
        if (typeof prompt === "string") {
            return this.tokenizer.encode(prompt, { addSpecial: begins });
        }
        const text = this.applyChatTemplate(prompt);
        const begin = this.#specialText(this.tokenizer.beginToken);
        const addSpecial = begins && this.tokenizer.addsBeginToken && !text.startsWith(begin);
        return this.tokenizer.encode(text, { addSpecial, parseSpecial: true });
    }

    /**
     * Makes a context: memory for sequences, and a native thread that runs them.
     *
     * @throws SteerError OUT_OF_MEMORY, MODEL_INVALID, ABORTED, INVALID_ARGUMENT, DISPOSED
     */
    async createContext(options: ContextOptions & { signal?: AbortSignal } = {}): Promise<Context> {
        checkObject(options, "options");
        const { signal, ...settings } = options;
        const context = await Context.create(this, (onStep, onLive) =>
            runTask(() => this.native.createContext(settings, onStep, onLive), signal),
        );
        if (signal?.aborted) {
            await context.dispose();
            throw abortError(signal);
        }
        if (this.#disposed !== undefined) {
            await context.dispose();
            throw new SteerError("DISPOSED", "the model was disposed while the context was being made");
        }
        this.#contexts.add(context);
        return context;
    }

    /** @internal */
    forget(context: Context): void {
        this.#contexts.delete(context);
    }

    /** Disposes its contexts, then frees the weights. Waits for work in flight; calling it again does nothing. */
    dispose(): Promise<void> {
        this.#disposed ??= this.#release();
        return this.#disposed;
    }

    async #release(): Promise<void> {
        await Promise.all([...this.#contexts].map((context) => context.dispose()));
        this.native.dispose();
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }

    #specialText(token: number): string {
        return token < 0 ? "" : this.tokenizer.decode([token], { special: true });
    }
}
