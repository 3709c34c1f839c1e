import { z } from "zod";
import type { ChatMessage, GenerationOptions } from "../index.js";
import { ApiError } from "./api-error.js";
import { jsonObjectGrammar, jsonSchemaGrammar } from "./json-grammar.js";
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

/** Fields that clients send and that change nothing here. */
const ignored = Object.fromEntries(
    ["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"].map(
        (name) => [name, z.unknown().optional()],
    ),
);
/** Fields of OpenAI's that ask for what there is not. */
const toolFields = ["tools", "tool_choice", "functions", "function_call"];
const penalty = z.literal(0, "penalties on presence and frequency are not supported: use repeat_penalty").nullish();

function commonFields({ choices, maxTokens, strength }: RequestLimits) {
    return {
        ...ignored,
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
        logit_bias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).nullish(),
        n: z.int().min(1).max(choices).nullish(),
        stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(4)]).nullish(),
        seed: z.int().nullish(),
        stream: z.boolean().nullish(),
        stream_options: z
            .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
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
            .optional(),
        steering: steeringSchema(strength).nullish(),
    };
}

type CommonFields = z.output<z.ZodObject<ReturnType<typeof commonFields>>>;

const content = z.union([
    z.string(),
    z.array(z.strictObject({ type: z.literal("text", "only text is supported"), text: z.string() })),
]);
export const messagesSchema = z
    .array(
        z.strictObject({
            role: z.enum(["system", "developer", "user", "assistant"]),
            content,
            name: z.string().optional(),
            refusal: z.null().optional(),
        }),
    )
    .min(1)
    .max(4096);

/** The messages as a chat template takes them. */
export function messagesOf(messages: z.output<typeof messagesSchema>): ChatMessage[] {
    return messages.map(({ role, content: parts }) => ({
        role: role === "developer" ? "system" : role,
        content: typeof parts === "string" ? parts : parts.map(({ text }) => text).join(""),
    }));
}

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
            prompt: z.union([
                z.string(),
                z.array(z.string()).min(1),
                z.array(z.int().min(0)).min(1),
                z.array(z.array(z.int().min(0)).min(1)).min(1),
            ]),
            logprobs: z.int().min(0).max(5).nullish(),
            echo: z.literal(false, "echo is not supported").nullish(),
            suffix: z.null("suffix is not supported").optional(),
            best_of: z.literal(1, "best_of is not supported").nullish(),
        });
    }

    /** @throws ApiError 400 */
    chat(body: unknown): CompletionOrder {
        refuseTools(body);
        const fields = checkedBody(this.#chat, body);
        const top = fields.top_logprobs ?? 0;
        if (top > 0 && fields.logprobs !== true) {
            throw new ApiError(400, "invalid_value", "top_logprobs: asks for logprobs to be true", "top_logprobs");
        }
        const logprobs = fields.logprobs === true ? top : undefined;
        const maxTokens = fields.max_completion_tokens ?? fields.max_tokens;
        return this.#order({ ...fields, max_tokens: maxTokens }, [messagesOf(fields.messages)], logprobs);
    }

    /** @throws ApiError 400 */
    text(body: unknown): CompletionOrder {
        refuseTools(body);
        const fields = checkedBody(this.#text, body);
        const { prompt } = fields;
        const list = typeof prompt === "string" || typeof prompt[0] === "number" ? [prompt] : prompt;
        const prompts = (list as (string | number[])[]).map((each) =>
            typeof each === "string" ? each : tokensOf(each),
        );
        return this.#order(fields, prompts, fields.logprobs ?? undefined);
    }

    #order(fields: CommonFields, prompts: CompletionOrder["prompts"], logprobs: number | undefined): CompletionOrder {
        const n = fields.n ?? 1;
        if (n * prompts.length > this.#limits.choices) {
            throw new ApiError(400, "too_many_choices", `a request may have ${this.#limits.choices} answers`, "n");
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
    format: { type: string; json_schema?: { schema?: unknown } | undefined } | undefined,
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

function tokensOf(numbers: readonly number[]): Int32Array {
    if (numbers.some((each) => each > 0x7fffffff)) {
        throw new ApiError(400, "invalid_value", "a prompt of numbers must be token ids", "prompt");
    }
    return Int32Array.from(numbers);
}

function refuseTools(body: unknown): void {
    const given = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
    const field = toolFields.find((name) => given[name] !== undefined && given[name] !== null);
    if (field !== undefined) {
        throw new ApiError(400, "tools_unsupported", "this server answers with text and knows no tools", field);
    }
}

/** @throws ApiError 400 naming the field */
export function checkedBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
    const result = schema.safeParse(body);
    if (result.success) {
        return result.data;
    }
    const issue = deepest(result.error.issues);
    const path = [...(issue?.path ?? []), ...(issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [])];
    const param = path.length === 0 ? null : path.map(String).join(".").slice(0, 200);
    throw new ApiError(400, "invalid_value", `${param === null ? "the body" : param}: ${issue?.message}`, param);
}

/** Of a value that fits none of several forms, the issue that lies deepest: that of the form it was likely meant to have. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
    const found = issues.map((issue) => {
        const within = issue.code === "invalid_union" ? deepest(issue.errors.flat()) : undefined;
        return within === undefined || within.path.length === 0
            ? issue
            : { ...within, path: [...issue.path, ...within.path] };
    });
    return found.reduce<z.core.$ZodIssue | undefined>(
        (best, each) => (best === undefined || each.path.length > best.path.length ? each : best),
        undefined,
    );
}
