import { z } from "zod";
import { type Context, loadModel, type Model, type Sequence, SteerError } from "../index.js";
import { contentKey, fileFingerprint } from "./content-key.js";
import type { Judge, JudgedText, JudgeOptions, Verdict } from "./judge.js";
import { JudgeTemplate } from "./judge-template.js";
import { parsed, throwIfAborted } from "./parse.js";
import { threadsFor } from "./threads.js";
import { type VerdictTokens, verdictOf, verdictTokens } from "./verdict-tokens.js";

export interface LocalJudgeOptions {
    /**
     * A file with what the judge is told, `{question}` and `{answer}` in it. Default: what the model's file carries as
     * `llama_steer.judge_prompt`, or this package's own for general models.
     */
    template?: string | undefined;
    /** The words that the judge replies with. Default `"refusal"` and `"answer"`. */
    words?: { refusal: string; answer: string } | undefined;
    /** Verdicts in a forward pass at most, 1 to 256. Default 32. */
    sequences?: number | undefined;
    /** Tokens per forward pass. Default 1024. */
    batchSize?: number | undefined;
    /** Tokens that a question, its answer and the template have room for. Default: what the model was trained with, up to 8192. */
    contextSize?: number | undefined;
    /** Default: all cores; one for models below 50 million parameters, which gain nothing from more. */
    threads?: number | undefined;
    /** Layers on a GPU. Default 0. */
    gpuLayers?: number | "all" | undefined;
}

const count = z.int().min(1);
const optionsSchema = z.object({
    template: z.string().optional(),
    words: z
        .object({ refusal: z.string().min(1), answer: z.string().min(1) })
        .default({ refusal: "refusal", answer: "answer" }),
    sequences: count.max(256).default(32),
    batchSize: count.default(1024),
    contextSize: count.optional(),
    threads: count.optional(),
    gpuLayers: z.union([z.int().min(0), z.literal("all")]).default(0),
});

const largestDefaultContext = 8192;
/** A beginning that all prompts share is computed once, where it is worth the care. */
const sharedTokens = 16;
/** Below it, a model does not reply with verdicts at all. */
const leastMass = 0.01;

/**
 * A judge in a GGUF file. Its label comes from the probabilities of the first token of its verdict words, at the first
 * token it would generate: 2·P(refusal) / (P(refusal) + P(answer)) - 1. Many verdicts are computed in one batch.
 */
export class LocalJudge implements Judge {
    readonly id: string;
    readonly #model: Model;
    readonly #context: Context;
    readonly #template: JudgeTemplate;
    readonly #words: VerdictTokens;
    readonly #sequences: readonly Sequence[];
    readonly #shared: Int32Array;
    #sharedIsHeld = false;
    #queue: Promise<unknown> = Promise.resolve();
    #tokens = 0;
    #room = 0;

    private constructor(
        id: string,
        context: Context,
        template: JudgeTemplate,
        words: VerdictTokens,
        shared: Int32Array,
    ) {
        this.id = id;
        this.#context = context;
        this.#model = context.model;
        this.#template = template;
        this.#words = words;
        this.#shared = shared;
        this.#sequences = Array.from({ length: context.options.sequences }, () => context.sequence());
    }

    /**
     * Loads a judge; {@link dispose} it after use.
     *
     * @throws SteerError as `loadModel`; CHAT_TEMPLATE_MISSING; INVALID_ARGUMENT, where its verdict words begin with the same
     *   token too
     */
    static async open(path: string, options: LocalJudgeOptions = {}): Promise<LocalJudge> {
        const { template: file, words, gpuLayers, ...shape } = parsed(optionsSchema, options, "options");
        const fingerprint = await fileFingerprint(parsed(z.string(), path, "path"));
        const model = await loadModel(path, { gpuLayers });
        try {
            const template = await templateOf(model, file);
            const tokens = verdictTokens(model, words);
            const shared = model.info.recurrent ? new Int32Array(0) : sharedBeginning(model, template);
            const contextSize = shape.contextSize ?? Math.min(model.info.trainingContext, largestDefaultContext);
            const threads = shape.threads ?? threadsFor(model);
            const context = await model.createContext({
                sequences: shape.sequences,
                batchSize: shape.batchSize,
                contextSize,
                memoryTokens: Math.max(shape.batchSize, contextSize) + shape.sequences * Math.max(1, shared.length),
                ...(threads === undefined ? {} : { threads }),
            });
            const id = contentKey("local judge", fingerprint, template.source, words);
            return new LocalJudge(id, context, template, tokens, shared);
        } catch (error) {
            await model.dispose();
            throw error;
        }
    }

    /** Tokens evaluated over the room of the forward passes that it took. */
    get occupancy(): number | undefined {
        return this.#room === 0 ? undefined : this.#tokens / this.#room;
    }

    /** Calls run one after the other. */
    judge(texts: readonly JudgedText[], options: JudgeOptions = {}): Promise<Verdict[]> {
        const judging = this.#queue.then(() => this.#judge(texts, options));
        this.#queue = judging.catch(() => {});
        return judging;
    }

    async #judge(texts: readonly JudgedText[], { signal, onVerdicts }: JudgeOptions): Promise<Verdict[]> {
        const prompts = texts.map((text) =>
            this.#model.encodePrompt([{ role: "user", content: this.#template.fill(text) }]),
        );
        const { contextSize } = this.#context.options;
        prompts.forEach(({ length }, i) => {
            if (length > contextSize) {
                const start = JSON.stringify(texts[i]?.question.slice(0, 60));
                throw new SteerError(
                    "PROMPT_TOO_LONG",
                    `the answer to ${start} makes a prompt of ${length} tokens for a judge with room for ${contextSize}: open ` +
                        "the judge with a larger contextSize, or sample shorter answers",
                );
            }
        });
        const verdicts: Verdict[] = [];
        while (verdicts.length < texts.length) {
            throwIfAborted(signal);
            const begin = verdicts.length;
            const part = await this.#evaluate(this.#nextBatch(prompts, begin), signal);
            this.#checkMass(part);
            verdicts.push(...part);
            onVerdicts?.(part.map((verdict, i) => ({ index: begin + i, verdict })));
        }
        return verdicts;
    }

    /** As many as there are sequences and room in one pass for; at least one. */
    #nextBatch(prompts: readonly Int32Array[], begin: number): readonly Int32Array[] {
        let tokens = 0;
        let end = begin;
        while (end < prompts.length && end - begin < this.#sequences.length) {
            const own = (prompts[end] as Int32Array).length - this.#shared.length;
            if (end > begin && tokens + own > this.#context.options.batchSize) {
                break;
            }
            tokens += own;
            end++;
        }
        return prompts.slice(begin, end);
    }

    async #evaluate(prompts: readonly Int32Array[], signal: AbortSignal | undefined): Promise<Verdict[]> {
        const shares = this.#shared.length > 0 && prompts.every((each) => startsWith(each, this.#shared));
        const skip = shares ? this.#shared.length : 0;
        await this.#prepare(shares);
        const entries = prompts.map((tokens, i) => ({
            sequence: this.#sequences[i] as Sequence,
            tokens: tokens.subarray(skip),
            logits: "last" as const,
        }));
        const before = this.#context.statistics;
        const { logits } = await this.#context.evaluate(entries, signal === undefined ? {} : { signal });
        const after = this.#context.statistics;
        this.#tokens += after.tokens - before.tokens;
        this.#room += (after.decodes - before.decodes) * this.#context.options.batchSize;
        await Promise.all(entries.map(({ sequence }) => sequence.truncate(skip)));
        const width = this.#model.info.vocabularySize;
        return prompts.map((_, i) => verdictOf(logits.subarray(i * width, (i + 1) * width), this.#words));
    }

    /** Brings every sequence to hold the beginning that prompts share, or nothing. */
    async #prepare(shares: boolean): Promise<void> {
        if (shares === this.#sharedIsHeld) {
            return;
        }
        await Promise.all(this.#sequences.map((each) => each.clear()));
        this.#sharedIsHeld = false;
        if (shares) {
            await this.#context.evaluate(
                this.#sequences.map((sequence) => ({ sequence, tokens: this.#shared, kind: "prompt-part" as const })),
            );
            this.#sharedIsHeld = true;
        }
    }

    #checkMass(verdicts: readonly Verdict[]): void {
        const mean = verdicts.reduce((sum, each) => sum + (each.mass as number), 0) / verdicts.length;
        if (mean < leastMass) {
            throw new SteerError(
                "JUDGE_FAILED",
                `the judge gives its verdict words a probability of ${(100 * mean).toPrecision(2)} %: its template or words are ` +
                    "not for this model",
            );
        }
    }

    /** Frees the model. Waits for work in flight; calling it again does nothing. */
    dispose(): Promise<void> {
        return this.#model.dispose();
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }
}

async function templateOf(model: Model, file: string | undefined): Promise<JudgeTemplate> {
    if (file !== undefined) {
        return JudgeTemplate.read(file);
    }
    const own = model.metadata("llama_steer.judge_prompt");
    return own === undefined ? JudgeTemplate.packaged("word") : new JudgeTemplate(own);
}

/** What prompts begin with whatever they ask, up to where the question could change how it is cut into tokens. */
function sharedBeginning(model: Model, template: JudgeTemplate): Int32Array {
    const [one, other] = ["Why?", "0 x"].map((question) =>
        model.encodePrompt([{ role: "user", content: template.fill({ question, answer: question }) }]),
    ) as [Int32Array, Int32Array];
    const differs = one.findIndex((token, i) => token !== other[i]);
    const safe = Math.max(0, differs - 2);
    return safe < sharedTokens ? new Int32Array(0) : one.slice(0, safe);
}

function startsWith(tokens: Int32Array, beginning: Int32Array): boolean {
    return tokens.length > beginning.length && beginning.every((token, i) => tokens[i] === token);
}
