import { setMaxListeners } from "node:events";
import { z } from "zod";
import { type Context, type Sequence, SteerError } from "../index.js";
import { answerInWaves, refill } from "./answer-batches.js";
import { answerElsewhere } from "./answer-elsewhere.js";
import { type AnswerItem, answerItems } from "./answer-items.js";
import type { Answerer } from "./answerer.js";
import type { RefusalEvent } from "./events.js";
import { parsed, throwIfAborted } from "./parse.js";
import { StageProgress } from "./progress.js";
import type { RunDirectory } from "./run-directory.js";
import { type ThoughtMarkers, thoughtMarkers } from "./thoughts.js";

/** A sampled answer. */
export interface Answer {
    /** Id of its prompt. */
    prompt: string;
    /** 0 .. samples-1. */
    sample: number;
    /** Without the model's reasoning. */
    text: string;
    /** The reasoning, where there was any. */
    thought?: string | undefined;
    /** The reasoning was cut off by `maxTokens`: `text` is empty. */
    unfinished?: true | undefined;
    /** Mean ln p of its tokens, those of the reasoning included; 0 for an empty answer. */
    meanLogProbability: number;
    tokens: number;
    finishReason: "stop" | "length" | "context";
}

/** A prompt to be answered: of a {@link Prompt}, what matters here. */
export interface AnswerPrompt {
    id: string;
    prompt: string;
}

/** How sequences are steered while they answer. */
export interface AnswerSteering {
    /** Tells this steering from any other, vector and strengths included: answers are kept under it. */
    key: string;
    /** Steers a sequence, which has no other steering then. */
    apply: (sequence: Sequence) => void;
}

export interface SampleOptions {
    /** Samples of each prompt. Default 5. */
    samples?: number | undefined;
    /** Default 1; 0 is greedy, where all samples are one. */
    temperature?: number | undefined;
    topK?: number | undefined;
    topP?: number | undefined;
    minP?: number | undefined;
    /** Of an answer with its reasoning. Default 256. */
    maxTokens?: number | undefined;
    /** Another number gives other samples. Default 0. */
    seed?: number | undefined;
    /** A system message before each prompt. */
    system?: string | undefined;
    /** What encloses reasoning. Default: {@link defaultThoughtMarkers}; none: answers are kept as they are. */
    thoughts?: readonly ThoughtMarkers[] | undefined;
    /** Of all answers, or of those to each prompt its own: a batch may hold any number of different ones. */
    steering?: AnswerSteering | readonly (AnswerSteering | undefined)[] | undefined;
    /**
     * `"waves"` (default): as many answers as there are sequences begin together and the next wave when all have ended, so
     * that the same batches are computed however often the run is interrupted, and answers are the same to the last bit.
     * `"refill"`: a sequence takes the next prompt as soon as it is free, which keeps batches fuller; what else is in a
     * batch then depends on timing, and with it the rounding of low-precision weights and, rarely, a word.
     */
    batches?: "waves" | "refill" | undefined;
    /** Gives the answers that are not steered, in place of the context. */
    answerer?: Answerer | undefined;
    /** Keeps finished answers, and finds those of an earlier run. */
    run?: RunDirectory | undefined;
    /** Tells the model from others of the same shape, such as its {@link fileFingerprint}. Needed with `run`. */
    model?: string | undefined;
    signal?: AbortSignal | undefined;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}

const steering = z.object({ key: z.string().min(1), apply: z.custom<AnswerSteering["apply"]>(isFunction) });
const prompts = z.array(z.looseObject({ id: z.string(), prompt: z.string() }));

/** @internal */
export const answererSchema = z.custom<Answerer>(
    (value) => isFunction((value as Answerer | undefined)?.answer) && typeof (value as Answerer).id === "string",
    "must be an Answerer",
);

export const sampleSettings = z.object({
    samples: z.int().min(1).max(1000).default(5),
    temperature: z.number().min(0).default(1),
    topK: z.int().min(0).optional(),
    topP: z.number().min(0).max(1).optional(),
    minP: z.number().min(0).max(1).optional(),
    maxTokens: z.int().min(1).default(256),
    seed: z.int().default(0),
    system: z.string().min(1).optional(),
    thoughts: thoughtMarkers.optional(),
    batches: z.enum(["waves", "refill"]).default("waves"),
    answerer: answererSchema.optional(),
    model: z.string().min(1).optional(),
    steering: z
        .unknown()
        .transform((value, context) => {
            // Of a union, what is wrong in one of its kinds would not be told.
            const result = (Array.isArray(value) ? z.array(steering.optional()) : steering).safeParse(value);
            for (const { message, path } of result.error?.issues ?? []) {
                context.addIssue({ code: "custom", message, path: [...path] });
            }
            return result.data;
        })
        .optional(),
    signal: z.instanceof(AbortSignal).optional(),
    onEvent: z.custom<(event: RefusalEvent) => void>(isFunction).optional(),
});
export type SampleSettings = z.output<typeof sampleSettings>;

function isFunction(value: unknown): boolean {
    return typeof value === "function";
}

/** An answer as it is kept: its prompt and sample are in its key. */
export const keptAnswer = z.object({
    text: z.string(),
    thought: z.string().optional(),
    unfinished: z.literal(true).optional(),
    meanLogProbability: z.number(),
    tokens: z.int(),
    finishReason: z.enum(["stop", "length", "context"]),
});
export type KeptAnswer = z.output<typeof keptAnswer>;

/**
 * Samples answers, in batches of as many sequences as the context has free. The seed of an answer depends on its prompt
 * and number alone, so that neither order nor interruption changes it. Prompts of the same words share their answers.
 *
 * @returns the samples of the first prompt, then of the second...
 * @throws SteerError PROMPT_TOO_LONG (with the prompt's id) before anything is computed, TOO_MANY_SEQUENCES,
 *   CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_FAILED, FILE_WRITE_FAILED, DATA_DAMAGED, ABORTED, DISPOSED, INVALID_ARGUMENT; of
 *   an answerer ANSWERS_FAILED, MODEL_MISMATCH
 */
export async function sampleAnswers(
    context: Context,
    asked: readonly AnswerPrompt[],
    options: SampleOptions = {},
): Promise<Answer[]> {
    const list = parsed(prompts, asked, "prompts");
    const { run, ...rest } = options ?? {};
    const given = parsed(sampleSettings, rest, "options");
    const settings = { ...given, signal: sharedSignal(given.signal) };
    if (run !== undefined && settings.model === undefined) {
        throw new SteerError("INVALID_ARGUMENT", "a run directory keeps answers by model: give model, its fingerprint");
    }
    if (Array.isArray(settings.steering) && settings.steering.length !== list.length) {
        const given = settings.steering.length;
        throw new SteerError("INVALID_ARGUMENT", `there are ${list.length} prompts and the steering of ${given}`);
    }
    throwIfAborted(settings.signal);
    const items = answerItems(context, list, settings);
    const journal = run?.journal("answers", keptAnswer);
    const answers = new Map<string, KeptAnswer>();
    const todo: AnswerItem[] = [];
    for (const item of new Map(items.map((each) => [each.key, each])).values()) {
        const found = journal?.get(item.key);
        found === undefined ? todo.push(item) : answers.set(item.key, found);
    }

    const found = items.filter((each) => answers.has(each.key)).length;
    const progress = new StageProgress("answers", items.length, found, settings.onEvent);
    const copies = counts(items.map((each) => each.key));
    const finish = (done: readonly (readonly [AnswerItem, KeptAnswer])[], occupancy: number | undefined): void => {
        journal?.append(done.map(([item, answer]) => [item.key, answer] as const));
        for (const [item, answer] of done) {
            answers.set(item.key, answer);
            settings.onEvent?.({ type: "answer", answer: { prompt: item.prompt, sample: item.sample, ...answer } });
        }
        progress.advance(
            done.reduce((sum, [item]) => sum + (copies.get(item.key) as number), 0),
            occupancy,
        );
    };
    const { answerer, batches } = settings;
    const isElsewhere = (item: AnswerItem): boolean => answerer !== undefined && item.steering === undefined;
    if (answerer !== undefined) {
        await answerElsewhere(context, answerer, todo.filter(isElsewhere), settings, finish);
    }
    const here = todo.filter((item) => !isElsewhere(item));
    await (batches === "waves" ? answerInWaves : refill)(context, here, settings, finish);
    return items.map(({ prompt, sample, key }) => ({ prompt, sample, ...(answers.get(key) as KeptAnswer) }));
}

/** A signal that as many answers as there are sequences may listen to, without the warning that guards against leaks. */
function sharedSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (signal === undefined) {
        return undefined;
    }
    const shared = AbortSignal.any([signal]);
    setMaxListeners(0, shared);
    return shared;
}

function counts(keys: readonly string[]): Map<string, number> {
    const found = new Map<string, number>();
    for (const key of keys) {
        found.set(key, (found.get(key) ?? 0) + 1);
    }
    return found;
}
