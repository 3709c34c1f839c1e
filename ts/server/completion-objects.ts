import { randomUUID } from "node:crypto";
import type { GeneratedToken, TokenAlternative, Tokenizer } from "../index.js";
import type { ServeResult } from "./serve-request.js";

/** A finished answer with its tokens as they came. */
export type FinishedAnswer = ServeResult & { stream: readonly GeneratedToken[] };

/** The bodies of the two kinds of completions, as OpenAI's API has them. */
export interface CompletionFormat {
    whole(results: readonly FinishedAnswer[], logprobs: boolean): object;
    /** What comes first of each answer; undefined for nothing. */
    opening(index: number): object | undefined;
    part(index: number, tokens: readonly GeneratedToken[], logprobs: boolean): object;
    closing(index: number, result: ServeResult): object;
    usage(results: readonly ServeResult[]): object;
}

function reasonOf({ finishReason }: ServeResult): "stop" | "length" {
    return finishReason === "stop" ? "stop" : "length";
}

function usageOf(results: readonly ServeResult[], prompts: number): object {
    // The answers to one prompt count it once.
    const each = results.length / prompts;
    const asked = results.filter((_, i) => i % each === 0);
    const prompt = asked.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
    const completion = results.reduce((sum, { tokens }) => sum + tokens.length, 0);
    return {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt + completion,
        prompt_tokens_details: { cached_tokens: asked.reduce((sum, { sharedTokens }) => sum + sharedTokens, 0) },
    };
}

function textOf(tokens: readonly GeneratedToken[]): string {
    return tokens.map(({ text }) => text).join("");
}

abstract class Format {
    protected readonly head: object;
    protected readonly tokenizer: Tokenizer;
    readonly #prompts: number;

    constructor(kind: string, id: string, model: string, tokenizer: Tokenizer, prompts: number) {
        const created = Math.floor(Date.now() / 1000);
        this.head = { id: `${id}-${randomUUID()}`, object: kind, created, model };
        this.tokenizer = tokenizer;
        this.#prompts = prompts;
    }

    protected body(choices: object[], rest: object = {}): object {
        return { ...this.head, choices, ...rest };
    }

    usage(results: readonly ServeResult[]): object {
        return this.body([], { usage: usageOf(results, this.#prompts) });
    }

    protected complete(choices: object[], results: readonly ServeResult[]): object {
        return this.body(choices, { usage: usageOf(results, this.#prompts) });
    }

    protected textOfToken(token: number): string {
        return this.tokenizer.decode([token], { special: true });
    }
}

/** `chat.completion` and its chunks. */
export class ChatFormat extends Format implements CompletionFormat {
    constructor(model: string, tokenizer: Tokenizer, stream: boolean) {
        super(stream ? "chat.completion.chunk" : "chat.completion", "chatcmpl", model, tokenizer, 1);
    }

    whole(results: readonly FinishedAnswer[], logprobs: boolean): object {
        const choices = results.map((result, index) => ({
            index,
            message: { role: "assistant", content: result.text, refusal: null },
            logprobs: logprobs ? this.#logprobs(result.stream) : null,
            finish_reason: reasonOf(result),
        }));
        return this.complete(choices, results);
    }

    opening(index: number): object {
        return this.#chunk(index, { role: "assistant", content: "", refusal: null });
    }

    part(index: number, tokens: readonly GeneratedToken[], logprobs: boolean): object {
        return this.#chunk(index, { content: textOf(tokens) }, logprobs ? this.#logprobs(tokens) : null);
    }

    closing(index: number, result: ServeResult): object {
        return this.#chunk(index, {}, null, reasonOf(result));
    }

    #chunk(index: number, delta: object, logprobs: object | null = null, reason: string | null = null): object {
        return this.body([{ index, delta, logprobs, finish_reason: reason }]);
    }

    #logprobs(tokens: readonly GeneratedToken[]): object {
        const content = tokens.map((each) => ({
            ...this.#entry(each),
            top_logprobs: (each.alternatives ?? []).map((other) => this.#entry(other)),
        }));
        return { content, refusal: null };
    }

    #entry({ token, logProbability }: TokenAlternative): object {
        return {
            token: this.textOfToken(token),
            logprob: logProbability,
            bytes: [...this.tokenizer.bytes(token)],
        };
    }
}

/** `text_completion`, which is also its own chunk. */
export class TextFormat extends Format implements CompletionFormat {
    /** Characters of each answer that were sent, for the offsets of tokens. */
    readonly #sent = new Map<number, number>();

    constructor(model: string, tokenizer: Tokenizer, prompts: number) {
        super("text_completion", "cmpl", model, tokenizer, prompts);
    }

    whole(results: readonly FinishedAnswer[], logprobs: boolean): object {
        const choices = results.map((result, index) => ({
            index,
            text: result.text,
            logprobs: logprobs ? this.#logprobs(index, result.stream) : null,
            finish_reason: reasonOf(result),
        }));
        return this.complete(choices, results);
    }

    opening(): undefined {
        return undefined;
    }

    part(index: number, tokens: readonly GeneratedToken[], logprobs: boolean): object {
        return this.#chunk(index, textOf(tokens), logprobs ? this.#logprobs(index, tokens) : null);
    }

    closing(index: number, result: ServeResult): object {
        return this.#chunk(index, "", null, reasonOf(result));
    }

    #chunk(index: number, text: string, logprobs: object | null = null, reason: string | null = null): object {
        return this.body([{ index, text, logprobs, finish_reason: reason }]);
    }

    #logprobs(index: number, tokens: readonly GeneratedToken[]): object {
        const texts = tokens.map(({ token }) => this.textOfToken(token));
        let at = this.#sent.get(index) ?? 0;
        const offsets = texts.map((text) => {
            at += text.length;
            return at - text.length;
        });
        this.#sent.set(index, at);
        const values = tokens.map(({ logProbability }) => logProbability);
        return { tokens: texts, token_logprobs: values, top_logprobs: this.#top(tokens), text_offset: offsets };
    }

    /** For each token a table of texts; null where none were asked for. */
    #top(tokens: readonly GeneratedToken[]): object[] | null {
        if (tokens.every(({ alternatives }) => alternatives === undefined)) {
            return null;
        }
        return tokens.map(({ alternatives = [] }) =>
            Object.fromEntries(
                alternatives.map(({ token, logProbability }) => [this.textOfToken(token), logProbability]),
            ),
        );
    }
}
