import { z } from "zod";
import { SteerError } from "../index.js";
import { type ReadAnswer, readAnswer } from "./answer-reply.js";
import type { Answerer, AnswererOptions, AskedAnswer } from "./answerer.js";
import {
    type ChatRequest,
    EndpointClient,
    type EndpointCounts,
    type EndpointOptions,
    endpointFields,
} from "./endpoint-client.js";
import { parsed } from "./parse.js";

export interface EndpointAnswererOptions extends EndpointOptions {
    /** Requests at a time. Default 32. */
    concurrency?: number | undefined;
    /** Of one request with all of its reply. Default 300 000. */
    timeoutMilliseconds?: number | undefined;
    /**
     * How far the mean log-probability of a token there may be from that of the model that is steered, in nats. Default 0.25,
     * which leaves room for quantization to four bits.
     */
    tolerance?: number | undefined;
}

const optionsSchema = z.object({ ...endpointFields(32, 300_000), tolerance: z.number().positive().default(0.25) });
type Settings = z.output<typeof optionsSchema>;

/** More than any vocabulary has: it turns the choice among the k most probable off in every server. */
const allTokens = 2 ** 30;

/**
 * What serves the model that is steered behind an OpenAI-compatible chat endpoint, as vLLM and SGLang do: it gives the
 * unsteered answers of a run, with their log-probabilities. A reply that lacks something is asked for again and never
 * guessed. When the retries of one answer are spent, the requests under way are waited for, kept, and then the error comes.
 */
export class EndpointAnswerer implements Answerer {
    /** By the model's name alone: a cluster may move. */
    readonly id: string;
    readonly tolerance: number;
    readonly #client: EndpointClient;
    readonly #settings: Settings;

    /** @throws SteerError INVALID_ARGUMENT */
    constructor(options: EndpointAnswererOptions) {
        this.#settings = parsed(optionsSchema, options, "options");
        this.id = `endpoint:${this.#settings.model}`;
        this.tolerance = this.#settings.tolerance;
        this.#client = new EndpointClient(this.#settings, {
            code: "ANSWERS_FAILED",
            who: "the model",
            what: "answer",
        });
    }

    get counts(): EndpointCounts {
        return this.#client.counts;
    }

    /** @throws SteerError ANSWERS_FAILED, MODEL_MISMATCH (a prompt has other tokens there), ABORTED */
    async answer(asked: readonly AskedAnswer[], options: AnswererOptions): Promise<void> {
        const { onAnswer, signal, thoughts, tokenizer } = options;
        await this.#client.each(asked.length, async (index) => {
            const one = asked[index] as AskedAnswer;
            const request = this.#request(one, options.sampling);
            const read = (reply: unknown): { value: ReadAnswer } | string => {
                const value = readAnswer(reply, tokenizer, thoughts);
                if (typeof value === "string") {
                    return value;
                }
                this.#checkPrompt(one, value.promptTokens);
                return { value };
            };
            const { answer, raw } = await this.#client.persist(() => this.#client.once(request, read, signal), options);
            onAnswer(index, answer, raw);
        });
    }

    /** Says all of the sampling: servers fill in what a model's own configuration recommends. */
    #request({ messages, seed }: AskedAnswer, sampling: AnswererOptions["sampling"]): ChatRequest {
        const { temperature, topK, topP, minP, maxTokens } = sampling;
        const unofficial = { top_k: topK || allTokens, min_p: minP ?? 0, repetition_penalty: 1 };
        return {
            model: this.#settings.model,
            messages: messages.map(({ role, content }) => ({ role: role as "user", content })),
            temperature,
            top_p: topP ?? 1,
            max_tokens: maxTokens,
            seed,
            logprobs: true,
            ...unofficial,
        };
    }

    #checkPrompt({ prompt, tokens }: AskedAnswer, promptTokens: number | undefined): void {
        if (promptTokens !== undefined && promptTokens !== tokens.length) {
            const { model, baseUrl } = this.#settings;
            throw new SteerError(
                "MODEL_MISMATCH",
                `the model ${model} at ${baseUrl} reads prompt ${prompt} as ${promptTokens} tokens, the one that is steered as ` +
                    `${tokens.length}: serve the same model, with the chat template of its GGUF file`,
            );
        }
    }
}
