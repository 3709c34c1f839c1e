import { z } from "zod";
import type { Tokenizer } from "../index.js";
import type { GivenAnswer } from "./answerer.js";
import { issuesOf } from "./parse.js";
import { splitThought, type ThoughtMarkers, type ThoughtSplit } from "./thoughts.js";

/** A probability may come out a little above 1. */
const token = z.object({ token: z.string(), logprob: z.number().max(1e-3), bytes: z.array(z.number()).nullish() });
type Token = z.output<typeof token>;

const message = z.object({
    content: z.string().nullish(),
    // Where the server takes reasoning off itself: the first in SGLang and vLLM, the second in later vLLM.
    reasoning_content: z.string().nullish(),
    reasoning: z.string().nullish(),
});
type Message = z.output<typeof message>;

const replySchema = z.object({
    choices: z
        .array(
            z.object({
                message,
                finish_reason: z.enum(["stop", "length"]),
                logprobs: z.object({ content: z.array(token) }),
            }),
        )
        .min(1),
    usage: z.object({ prompt_tokens: z.int().optional(), completion_tokens: z.int().optional() }).nullish(),
});

/** What a reply says. */
export interface ReadAnswer {
    answer: GivenAnswer;
    /** All of its text, with markers and reasoning. */
    raw: string;
    /** As the server counts them; undefined where it does not say. */
    promptTokens: number | undefined;
}

/**
 * The answer in a chat completion with log-probabilities, as sampling it here would have given it: without the token that
 * ends it, and without reasoning. What is missing is not made up.
 *
 * @returns a text that says why the reply is no answer, where it is none
 */
export function readAnswer(
    reply: unknown,
    tokenizer: Tokenizer,
    thoughts: readonly ThoughtMarkers[],
): ReadAnswer | string {
    const checked = replySchema.safeParse(reply);
    if (!checked.success) {
        return `the reply is no answer with log-probabilities: ${issuesOf(checked.error)}`;
    }
    const { choices, usage } = checked.data;
    const { message, logprobs, finish_reason } = choices[0] as (typeof choices)[number];
    const told = logprobs.content;
    // The ending token is counted by some servers and told by others.
    if (told.length + 1 < (usage?.completion_tokens ?? 0)) {
        return `the reply has ${usage?.completion_tokens} tokens and the log-probabilities of ${told.length}`;
    }
    const tokens = finish_reason === "stop" ? withoutEnd(told, tokenizer) : told;
    const raw = textOf(tokens);
    const split = splitAnswer(message, raw, thoughts, finish_reason === "length");
    if (split.text === "" && split.thought === undefined && !isEmptyAnswer(tokens, told, usage?.completion_tokens)) {
        return `the reply's content is empty, with the log-probabilities of ${told.length} tokens`;
    }
    if (tokens.length === 0 && split.text !== "") {
        return "the reply has a text and no log-probabilities";
    }
    const meanLogProbability = tokens.reduce((sum, { logprob }) => sum + logprob, 0) / Math.max(1, tokens.length);
    const answer = { ...split, meanLogProbability, tokens: tokens.length, finishReason: finish_reason };
    return { answer, raw, promptTokens: usage?.prompt_tokens };
}

/** A model may end at once. Only a reply that says so itself is believed. */
function isEmptyAnswer(tokens: readonly Token[], told: readonly Token[], counted: number | undefined): boolean {
    return tokens.length === 0 && (told.length === 1 || counted === 0);
}

function withoutEnd(tokens: readonly Token[], tokenizer: Tokenizer): readonly Token[] {
    const last = tokens.at(-1);
    if (last === undefined) {
        return tokens;
    }
    const ids = tokenizer.encode(last.token, { parseSpecial: true });
    const ends = last.token === "" || (ids.length === 1 && tokenizer.isEndOfGeneration(ids[0] as number));
    return ends ? tokens.slice(0, -1) : tokens;
}

/** Tokens may hold parts of characters, which only their bytes tell. Of control tokens only the name is told. */
function textOf(tokens: readonly Token[]): string {
    const bytes = tokens.map(({ token: text, bytes }) =>
        bytes == null || bytes.length === 0 ? Buffer.from(text) : Buffer.from(bytes),
    );
    return Buffer.concat(bytes).toString("utf8");
}

function splitAnswer(
    { content, reasoning_content, reasoning }: Message,
    raw: string,
    thoughts: readonly ThoughtMarkers[],
    cut: boolean,
): ThoughtSplit {
    const text = content ?? "";
    const thought = reasoning_content || reasoning;
    if (thought) {
        const rest = text.trim();
        return { text: rest, thought: thought.trim(), ...(cut && rest === "" ? { unfinished: true } : {}) };
    }
    const split = splitThought(text, thoughts);
    if (split.thought !== undefined) {
        return split;
    }
    // Markers may be control tokens, which text leaves out.
    const whole = splitThought(raw, thoughts);
    return whole.thought === undefined ? split : whole;
}
