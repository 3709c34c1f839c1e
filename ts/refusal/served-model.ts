import { type Context, SteerError } from "../index.js";
import type { AnswerItem } from "./answer-items.js";
import type { Answerer, GivenAnswer } from "./answerer.js";
import type { SampleSettings } from "./answers.js";
import { surprises } from "./surprise.js";

/** An answer from elsewhere, and what it was asked for. */
export interface ServedAnswer {
    item: AnswerItem;
    answer: GivenAnswer;
    raw: string | undefined;
}

/** Fewer answers say nothing of how much such differences vary. */
const fewest = 4;

/**
 * Compares log-probabilities of answers from elsewhere with those that the model of `context` gives to the same tokens. Over
 * answers sampled at temperature 1 their mean difference estimates the divergence KL(there, here) of a token: 0 for the same
 * weights, some hundredths for quantized ones, and far more for another model. It is refused where it is beyond the tolerance
 * by two standard errors. Answers whose text makes other tokens here are left out.
 *
 * @throws SteerError MODEL_MISMATCH
 */
export async function checkServedModel(
    context: Context,
    { tolerance, id }: Answerer,
    served: readonly ServedAnswer[],
    { signal, onEvent }: SampleSettings,
): Promise<void> {
    if (tolerance === undefined) {
        return;
    }
    const reads = served.flatMap((each) => readOf(context, each));
    const tokens = reads.reduce((sum, { answer }) => sum + answer.tokens, 0);
    const event = { type: "agreement", of: served.length, answers: reads.length, tokens } as const;
    if (reads.length < fewest) {
        onEvent?.({ ...event, difference: null });
        return;
    }
    const here = await surprises(context, reads, signal);
    const pairs = reads.map(({ answer }, i) => ({
        tokens: answer.tokens,
        difference: answer.meanLogProbability + (here[i] as number),
    }));
    const { mean, error } = meanPerToken(pairs);
    onEvent?.({ ...event, difference: mean });
    if (Math.abs(mean) - 2 * error > tolerance) {
        throw new SteerError(
            "MODEL_MISMATCH",
            `the answers of ${id} are not those of the model that is steered: over ${tokens} tokens, log-probabilities differ by ` +
                `${mean.toFixed(3)} per token, and ${tolerance} is tolerated. Serve the same model, or steer a less ` +
                "quantized one; these answers were not kept",
        );
    }
}

/** The mean over tokens of what is known as means of answers, and its standard error, which takes answers for independent. */
function meanPerToken(answers: readonly { tokens: number; difference: number }[]): { mean: number; error: number } {
    const tokens = answers.reduce((sum, each) => sum + each.tokens, 0);
    const mean = answers.reduce((sum, each) => sum + each.tokens * each.difference, 0) / tokens;
    const squares = answers.reduce((sum, each) => sum + (each.tokens * (each.difference - mean)) ** 2, 0);
    const n = answers.length;
    return { mean, error: Math.sqrt((squares * n) / (n - 1)) / tokens };
}

function readOf({ model, options }: Context, { item, answer, raw }: ServedAnswer) {
    const tokens = model.tokenizer.encode(raw ?? answer.text, { parseSpecial: true });
    const fits = item.tokens.length + tokens.length <= options.contextSize;
    if (tokens.length !== answer.tokens || tokens.length === 0 || item.tokens.length < 2 || !fits) {
        return [];
    }
    const rest = Int32Array.from([item.tokens.at(-1) as number, ...tokens]);
    return [{ begin: item.tokens.subarray(0, -1), rest, answer }];
}
