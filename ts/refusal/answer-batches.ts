import type { Context, GenerationResult, Sequence } from "../index.js";
import type { AnswerItem } from "./answer-items.js";
import type { AnswerSteering, KeptAnswer, SampleSettings } from "./answers.js";
import { throwIfAborted } from "./parse.js";
import { splitThought } from "./thoughts.js";

/** Takes answers that were finished together, and how full the batches have been so far, where there are batches. */
export type FinishAnswers = (
    done: readonly (readonly [AnswerItem, KeptAnswer])[],
    occupancy: number | undefined,
) => void;

/** Answers items wave by wave; a wave is finished as a whole. */
export async function answerInWaves(
    context: Context,
    items: readonly AnswerItem[],
    settings: SampleSettings,
    finish: FinishAnswers,
): Promise<void> {
    await withSequences(context, items.length, async (sequences) => {
        const occupancy = occupancyOf(context, sequences.length);
        for (let begin = 0; begin < items.length; begin += sequences.length) {
            throwIfAborted(settings.signal);
            const wave = items.slice(begin, begin + sequences.length);
            wave.forEach((item, i) => {
                (sequences[i] as SteeredSequence).steer(item.steering);
            });
            const results = await answerWave(context, sequences, wave, settings);
            const tokens = results.reduce((sum, each) => sum + each.tokens.length, 0);
            const done = wave.map(
                (item, i) => [item, kept(context, results[i] as GenerationResult, settings)] as const,
            );
            finish(done, occupancy(tokens));
            await Promise.all(sequences.map(({ sequence }) => sequence.clear()));
        }
    });
}

/**
 * All but the last token of every prompt goes through one evaluation, which waits until the answers are asked for too: the
 * engine takes up all that is queued before its next step, so that they step together from their first token on, however
 * busy the machine is.
 */
async function answerWave(
    context: Context,
    sequences: readonly SteeredSequence[],
    wave: readonly AnswerItem[],
    settings: SampleSettings,
): Promise<GenerationResult[]> {
    const pairs = wave.map((item, i) => [item, (sequences[i] as SteeredSequence).sequence] as const);
    const entries = pairs.flatMap(([{ tokens }, sequence]) =>
        tokens.length < 2 ? [] : [{ sequence, tokens: tokens.subarray(0, -1), kind: "prompt-part" as const }],
    );
    const signal = settings.signal === undefined ? {} : { signal: settings.signal };
    // Settles when this function first waits.
    const after = Promise.resolve();
    const before = entries.length === 0 ? undefined : context.evaluate(entries, { after, ...signal });
    const answers = pairs.map(async ([item, sequence]) =>
        sequence.generate(item.tokens.subarray(-1), generationOptions(item, settings)).result(),
    );
    // A prompt that failed is why its answer did: its error comes first.
    const outcomes = await Promise.allSettled([before, ...answers]);
    const failed = outcomes.find((each) => each.status === "rejected");
    if (failed !== undefined) {
        throw failed.reason;
    }
    return Promise.all(answers);
}

/** Answers items with every sequence taking the next as soon as it is free; each is finished alone. */
export async function refill(
    context: Context,
    items: readonly AnswerItem[],
    settings: SampleSettings,
    finish: FinishAnswers,
): Promise<void> {
    await withSequences(context, items.length, async (sequences) => {
        const occupancy = occupancyOf(context, sequences.length);
        const left = [...items];
        const work = async (each: SteeredSequence): Promise<void> => {
            const { sequence } = each;
            for (let item = left.shift(); item !== undefined; item = left.shift()) {
                throwIfAborted(settings.signal);
                each.steer(item.steering);
                const result = await sequence.generate(item.tokens, generationOptions(item, settings)).result();
                finish([[item, kept(context, result, settings)]], occupancy(result.tokens.length));
                void sequence.clear();
            }
        };
        const outcomes = await Promise.allSettled(
            sequences.map((each) =>
                work(each).catch((error) => {
                    // The others end what they are at, so that it is not lost.
                    left.length = 0;
                    throw error;
                }),
            ),
        );
        const failed = outcomes.find((each) => each.status === "rejected");
        if (failed !== undefined) {
            throw failed.reason;
        }
    });
}

async function withSequences(
    context: Context,
    items: number,
    run: (sequences: readonly SteeredSequence[]) => Promise<void>,
): Promise<void> {
    const sequences: SteeredSequence[] = [];
    try {
        while (sequences.length < Math.min(context.options.sequences, items)) {
            sequences.push(new SteeredSequence(context.sequence()));
        }
        if (items > 0) {
            await run(sequences);
        }
    } finally {
        await Promise.all(sequences.map(({ sequence }) => sequence.dispose()));
    }
}

/** A sequence that answers with one steering after another. */
class SteeredSequence {
    readonly sequence: Sequence;
    #key: string | undefined;

    constructor(sequence: Sequence) {
        this.sequence = sequence;
    }

    /** Steers as asked, where it does not already. */
    steer(steering: AnswerSteering | undefined): void {
        if (steering?.key === this.#key) {
            return;
        }
        this.sequence.unsteer();
        this.#key = steering?.key;
        steering?.apply(this.sequence);
    }
}

function generationOptions({ seed }: AnswerItem, settings: SampleSettings) {
    const { temperature, topK, topP, minP, maxTokens, signal } = settings;
    const given = Object.entries({ topK, topP, minP, signal }).filter(([, value]) => value !== undefined);
    return { temperature, maxTokens, seed, ...Object.fromEntries(given) };
}

/** Tokens chosen over those that forward passes had sequences for; a pass over prompts that chooses none counts as empty. */
function occupancyOf(context: Context, sequences: number): (tokens: number) => number {
    const before = context.statistics.decodes;
    let chosen = 0;
    return (tokens) => {
        chosen += tokens;
        return Math.min(1, chosen / Math.max(1, context.statistics.decodes - before) / sequences);
    };
}

function kept(context: Context, result: GenerationResult, { thoughts }: SampleSettings): KeptAnswer {
    const { meanLogProbability, finishReason, tokens } = result;
    // Markers may be control tokens, which text leaves out.
    const whole = splitThought(context.model.tokenizer.decode(tokens, { special: true }), thoughts);
    const split = whole.thought === undefined ? { text: result.text } : whole;
    return { ...split, meanLogProbability, tokens: tokens.length, finishReason };
}
