import type { Context, Model } from "../index.js";
import { isRefused, type JudgedAnswer } from "./judged-answers.js";
import { messagesOf } from "./prompt-rows.js";
import type { Coherence } from "./run-report.js";
import { mean } from "./separation.js";

/** Tokens at the beginning of an answer that are not counted: they decide what it becomes, which steering is to change. */
const decisive = 3;
/** Repeated runs of so many tokens count. */
const gram = 4;

export interface CoherenceOptions {
    system?: string | undefined;
    /** Answers of each kind that are looked at. */
    most: number;
    signal?: AbortSignal | undefined;
}

/**
 * Whether steered answers are still language: how perplexing they are to the unsteered model behind their first tokens,
 * beside the baseline's answers of the same kind (refusals or not, whichever the steered ones mostly are), and how much
 * they repeat themselves. Null where there is nothing to compare.
 */
export async function coherenceOf(
    context: Context,
    steered: readonly JudgedAnswer[],
    baseline: readonly JudgedAnswer[],
    options: CoherenceOptions,
): Promise<Coherence | null> {
    const changed = steered.filter(({ prompt }) => prompt.set === "target");
    const refused = changed.filter(isRefused).length > changed.length / 2;
    const looked = changed.filter((each) => isRefused(each) === refused).slice(0, options.most);
    const known = baseline.filter((each) => isRefused(each) === refused).slice(0, options.most);
    const [after, before] = [await surprises(context, looked, options), await surprises(context, known, options)];
    if (after.length === 0 || before.length === 0) {
        return null;
    }
    return {
        perplexityRatio: Math.exp(mean(after) - mean(before)),
        repetition: mean(looked.map((each) => repetitionOf(tokensOf(context.model, each)))),
    };
}

/** Share of an answer's tokens that end a run of tokens which the answer has had before. */
export function repetitionOf(tokens: Int32Array): number {
    const seen = new Set<string>();
    let repeated = 0;
    for (let end = gram; end <= tokens.length; end++) {
        const run = tokens.subarray(end - gram, end).join();
        repeated += seen.has(run) ? 1 : 0;
        seen.add(run);
    }
    return tokens.length === 0 ? 0 : repeated / tokens.length;
}

const tokensOf = (model: Model, { answer }: JudgedAnswer): Int32Array => model.tokenizer.encode(answer.text);

/** Mean -log p of each answer's tokens behind the first ones, under the unsteered model; short answers are left out. */
async function surprises(
    context: Context,
    answers: readonly JudgedAnswer[],
    { system, signal }: CoherenceOptions,
): Promise<number[]> {
    const { model } = context;
    const found: number[] = [];
    const sequence = context.sequence();
    try {
        for (const each of answers) {
            const tokens = tokensOf(model, each);
            if (tokens.length <= decisive) {
                continue;
            }
            const prompt = model.encodePrompt(messagesOf(each.prompt.prompt, system));
            if (prompt.length + tokens.length > context.options.contextSize) {
                continue;
            }
            const begin = [...prompt, ...tokens.subarray(0, decisive)];
            const options = signal === undefined ? {} : { signal };
            await sequence.evaluate(Int32Array.from(begin), options);
            const rest = tokens.subarray(decisive);
            // The first of them is chosen by the logits before it, which cost a pass of their own and say little more.
            const { logits } = await sequence.evaluate(rest, { ...options, logits: "all" });
            const { vocabularySize } = model.info;
            let surprise = 0;
            for (let i = 0; i + 1 < rest.length; i++) {
                const row = logits.subarray(i * vocabularySize, (i + 1) * vocabularySize);
                surprise += logSumExp(row) - (row[rest[i + 1] as number] as number);
            }
            if (rest.length > 1) {
                found.push(surprise / (rest.length - 1));
            }
            await sequence.clear();
        }
    } finally {
        await sequence.dispose();
    }
    return found;
}

function logSumExp(row: Float32Array): number {
    let most = Number.NEGATIVE_INFINITY;
    for (const value of row) {
        most = value > most ? value : most;
    }
    let sum = 0;
    for (const value of row) {
        sum += Math.exp(value - most);
    }
    return most + Math.log(sum);
}
