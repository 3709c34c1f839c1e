import { z } from "zod";
import type { ChatMessage, GenerationOptions } from "../index.js";
import { ApiError } from "./api-error.js";
import { checkedBody } from "./checked-body.js";
import { fieldsWithoutEffect, refuseUnsupported } from "./field-lists.js";
import { jsonObjectGrammar, jsonSchemaGrammar } from "./json-grammar.js";
import { logitBiasSchema } from "./logit-bias-field.js";
import { messagesOf, messagesSchema } from "./message-fields.js";
import { promptSchema, promptsOf } from "./prompt-field.js";
import { type SteeringField, steeringSchema } from "./steering-field.js";

/** What an operator allows a request. */
export interface RequestLimits {
    /** Answers to one request (`n`, times prompts). */
    choices: number;
    /** Tokens of an answer at most. */
    maxTokens: number;
    /** Of a steering strength, either way. */
    strength: number;
}

/** What both endpoints make of their bodies. */
export interface CompletionOrder {
    model: string;
    prompts: readonly (string | readonly ChatMessage[] | Int32Array)[];
    n: number;
    stream: boolean;
    includeUsage: boolean;
    /** Alternatives to each token; undefined: nor log-probabilities. */
    logprobs: number | undefined;
    steering: SteeringField;
    options: GenerationOptions;
    seed: number | undefined;
}

const penalty = z.literal(0, "penalties on presence and frequency are not supported: use repeat_penalty").nullish();

function commonFields({ choices, maxTokens, strength }: RequestLimits) {
    return {
        ...fieldsWithoutEffect,
        model: z.string(),
        max_tokens: z.int().min(1).max(maxTokens).nullish(),
        temperature: z.number().min(0).max(2).nullish(),
        top_p: z.number().gt(0).max(1).nullish(),
        top_k: z.int().min(0).optional(),
        min_p: z.number().min(0).max(1).optional(),
        repeat_penalty: z.number().min(1).max(2).optional(),
        presence_penalty: penalty,
        frequency_penalty: penalty,
        repetition_penalty: z.literal(1, "repetition_penalty is that of others: use repeat_penalty").nullish(),
        logit_bias: logitBiasSchema.nullish(),
        n: z.int().min(1).max(choices).nullish(),
        stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(4)]).nullish(),
        seed: z.int().nullish(),
        stream: z.boolean().nullish(),
        stream_options: z
            .strictObject({
                include_usage: z.boolean().nullish(),
                include_obfuscation: z.literal(false, "events are not padded here").nullish(),
            })
            .nullish(),
        response_format: z
            .union([
                z.strictObject({ type: z.enum(["text", "json_object"]) }),
                z.strictObject({
                    type: z.literal("json_schema"),
                    json_schema: z.strictObject({
                        name: z.string().optional(),
                        description: z.string().optional(),
                        schema: z.unknown(),
                        strict: z.boolean().nullish(),
                    }),
                }),
            ])
            .nullish(),
        steering: steeringSchema(strength).nullish(),
    };
}

type CommonFields = z.output<z.ZodObject<ReturnType<typeof commonFields>>>;

/** Reads the bodies of completions within what the operator allows. */
export class CompletionBodies {
    readonly #chat;
    readonly #text;
    readonly #limits: RequestLimits;

    constructor(limits: RequestLimits) {
        this.#limits = limits;
        this.#chat = z.strictObject({
            ...commonFields(limits),
            max_completion_tokens: z.int().min(1).max(limits.maxTokens).nullish(),
            messages: messagesSchema,
            logprobs: z.boolean().nullish(),
            top_logprobs: z.int().min(0).max(20).nullish(),
        });
        this.#text = z.strictObject({
            ...commonFields(limits),
            prompt: promptSchema,
            logprobs: z.int().min(0).max(5).nullish(),
            echo: z.literal(false, "echo is not supported").nullish(),
            suffix: z.null("suffix is not supported").optional(),
            best_of: z.literal(1, "best_of is not supported").nullish(),
        });
    }

    /** @throws ApiError 400 */
    chat(body: unknown): CompletionOrder {
        refuseUnsupported(body);
        const fields = checkedBody(this.#chat, body);
        const top = fields.top_logprobs ?? 0;
        if (top > 0 && fields.logprobs !== true) {
            throw new ApiError(400, "invalid_value", "top_logprobs: asks for logprobs to be true", "top_logprobs");
        }
        const logprobs = fields.logprobs === true ? top : undefined;
        const maxTokens = fields.max_completion_tokens ?? fields.max_tokens;
        if (fields.max_tokens != null && fields.max_tokens !== maxTokens) {
            const message = "max_tokens: is another number than max_completion_tokens: give one of them";
            throw new ApiError(400, "invalid_value", message, "max_tokens");
        }
        return this.#order({ ...fields, max_tokens: maxTokens }, [messagesOf(fields.messages)], logprobs);
    }

    /** @throws ApiError 400 */
    text(body: unknown): CompletionOrder {
        refuseUnsupported(body);
        const fields = checkedBody(this.#text, body);
        return this.#order(fields, promptsOf(fields.prompt), fields.logprobs ?? undefined);
    }

    #order(fields: CommonFields, prompts: CompletionOrder["prompts"], logprobs: number | undefined): CompletionOrder {
        const n = fields.n ?? 1;
        if (n * prompts.length > this.#limits.choices) {
            throw new ApiError(400, "too_many_choices", `a request may have ${this.#limits.choices} answers`, "n");
        }
        if (fields.stream_options != null && fields.stream !== true) {
            throw new ApiError(400, "invalid_value", "stream_options: asks for stream to be true", "stream_options");
        }
        const bias = Object.entries(fields.logit_bias ?? {}).map(([token, value]): [number, number] => [
            Number(token),
            // As OpenAI has it, -100 is a ban.
            value === -100 ? Number.NEGATIVE_INFINITY : value,
        ]);
        const grammar = grammarOf(fields.response_format);
        return {
            model: fields.model,
            prompts,
            n,
            stream: fields.stream === true,
            includeUsage: fields.stream_options?.include_usage === true,
            logprobs,
            steering: fields.steering ?? [],
            seed: fields.seed ?? undefined,
            options: {
                temperature: fields.temperature ?? 1,
                ...(fields.max_tokens == null ? {} : { maxTokens: fields.max_tokens }),
                ...(fields.top_p == null ? {} : { topP: fields.top_p }),
                ...(fields.top_k === undefined ? {} : { topK: fields.top_k }),
                ...(fields.min_p === undefined ? {} : { minP: fields.min_p }),
                ...(fields.repeat_penalty === undefined ? {} : { repeatPenalty: fields.repeat_penalty }),
                ...(bias.length === 0 ? {} : { logitBias: new Map(bias) }),
                ...(fields.stop == null ? {} : { stop: fields.stop }),
                ...(grammar === undefined ? {} : { grammar }),
                ...(logprobs === undefined ? {} : { alternatives: logprobs }),
            },
        };
    }
}

function grammarOf(
    format: { type: string; json_schema?: { schema?: unknown } | undefined } | null | undefined,
): string | undefined {
    switch (format?.type) {
        case "json_object":
            return jsonObjectGrammar();
        case "json_schema":
            return jsonSchemaGrammar(format.json_schema?.schema);
        default:
            return undefined;
    }
}
