import {
    type ChatMessage,
    type Context,
    type Sequence,
    SteerError,
    type SteeringVector,
    steerAsSaved,
} from "../index.js";

/** How answers are chosen. */
export interface ChatSettings {
    system: string | undefined;
    maxTokens: number;
    /** 0: always the most probable token. */
    temperature: number;
    seed: number;
}

/** A finished answer. */
export interface ChatAnswer {
    text: string;
    /** `"aborted"`: it was stopped, and what there was of it belongs to the conversation. */
    end: "stop" | "length" | "context" | "aborted";
}

/**
 * A conversation, steered or not. What the sequence has computed is not computed again, unless steering has changed since:
 * an answer is always what the whole conversation brings under the steering in force.
 */
export class ChatSession {
    readonly #context: Context;
    readonly #sequence: Sequence;
    readonly #settings: ChatSettings;
    #messages: ChatMessage[] = [];
    /** The tokens that the sequence holds, as far as they are known. */
    #held: number[] = [];
    #vector: SteeringVector | undefined;
    #strength = 1;
    #on = false;

    /** @param context with a sequence to spare */
    constructor(context: Context, settings: ChatSettings) {
        this.#context = context;
        this.#sequence = context.sequence();
        this.#settings = settings;
    }

    /** Times what the vector's file says. */
    get strength(): number {
        return this.#strength;
    }

    get hasVector(): boolean {
        return this.#vector !== undefined;
    }

    get steered(): boolean {
        return this.#on;
    }

    /** Steers from now on, and the conversation so far as well; undefined takes what was there before. */
    steer({ vector = this.#vector, strength = this.#strength, on = true }): void {
        const next = on && vector !== undefined;
        this.#sequence.unsteer();
        try {
            if (next) {
                steerAsSaved(this.#sequence, vector, { strength });
            }
        } catch (error) {
            if (this.#on && this.#vector !== undefined) {
                steerAsSaved(this.#sequence, this.#vector, { strength: this.#strength });
            }
            throw error;
        }
        [this.#vector, this.#strength, this.#on, this.#held] = [vector, strength, next, []];
    }

    /** Forgets the conversation. */
    reset(): void {
        this.#messages = [];
    }

    /**
     * Answers. Where it fails, the conversation is as before.
     *
     * @param onText called with the text as it comes
     * @throws SteerError PROMPT_TOO_LONG, CHAT_TEMPLATE_FAILED, DECODE_FAILED and the others of `Generation.result`
     */
    async say(text: string, onText: (text: string) => void, signal: AbortSignal): Promise<ChatAnswer> {
        const { system } = this.#settings;
        const before: ChatMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
        const said: ChatMessage = { role: "user", content: text };
        const tokens = this.#context.model.encodePrompt([...before, ...this.#messages, said]);
        this.#checkLength(tokens.length);
        const answer = await this.#generate(tokens, onText, signal);
        if (answer.text !== "" || answer.end !== "aborted") {
            this.#messages.push(said, { role: "assistant", content: answer.text });
        }
        return answer;
    }

    #checkLength(length: number): void {
        const { contextSize } = this.#context.options;
        if (length >= contextSize) {
            throw new SteerError(
                "PROMPT_TOO_LONG",
                `the conversation would have ${length} tokens, the context room for ${contextSize}, the answer included: ` +
                    "say something shorter, begin anew with /reset, or start with a larger --context-size",
            );
        }
    }

    async #generate(tokens: Int32Array, onText: (text: string) => void, signal: AbortSignal): Promise<ChatAnswer> {
        const { maxTokens, temperature, seed } = this.#settings;
        const kept = await this.#keep(tokens);
        const generation = this.#sequence.generate(tokens.subarray(kept), { maxTokens, temperature, seed, signal });
        const chosen: number[] = [];
        let text = "";
        let end: ChatAnswer["end"];
        try {
            for await (const token of generation) {
                chosen.push(token.token);
                text += token.text;
                onText(token.text);
            }
            end = (await generation.result()).finishReason;
        } catch (error) {
            if (!signal.aborted) {
                this.#held = [];
                throw error;
            }
            end = "aborted";
        }
        this.#held = [...tokens, ...chosen].slice(0, this.#sequence.position);
        return { text, end };
    }

    /** Brings the sequence to hold a beginning of `tokens`, as long a one as it can, and says how long that is. */
    async #keep(tokens: Int32Array): Promise<number> {
        // What was chosen last may be pending, behind what is held: going back by one token drops it.
        const most = Math.min(this.#held.length, this.#sequence.position - 1, tokens.length - 1);
        let kept = 0;
        while (kept < most && this.#held[kept] === tokens[kept]) {
            kept++;
        }
        const start = this.#context.model.info.recurrent ? 0 : Math.max(0, kept);
        await this.#sequence.truncate(start);
        return start;
    }
}
