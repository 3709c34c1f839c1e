import { type Model, SteerError, SteeringVector } from "../index.js";
import { openAnswering } from "./answering.js";
import { answerSteering } from "./candidate.js";
import { CoherenceMeter } from "./coherence.js";
import { isRefused, isRight, type JudgedAnswer, ofSet, ratesOf } from "./judged-answers.js";
import { parsed } from "./parse.js";
import { type EvaluateRefusalOptions, evaluateOptions } from "./pipeline-options.js";
import { type Prompt, type PromptSet, promptSets } from "./prompt.js";
import type { Coherence, ComparedRates } from "./run-report.js";
import { type AnswerMaker, greedy, judgedAnswers } from "./trials.js";

/** How prompts were answered with and without steering. */
export interface RefusalEvaluation {
    /** Of each set that has prompts. */
    sets: Partial<Record<PromptSet, ComparedRates>>;
    /** Target prompts that were refused before and are not now, and how many of those with a key are right; null: none has. */
    released: { n: number; right: number | null };
    coherence: Coherence | null;
    /** What repeats it. */
    settings: Record<string, unknown>;
    /** Prompt by prompt, in the same order. */
    answers: { baseline: JudgedAnswer[]; steered: JudgedAnswer[] };
}

/**
 * Answers the prompts of a split greedily, without steering and as the vector's file says, and has the answers judged.
 *
 * @throws SteerError EMPTY_CLASS (no prompts in the split), WIDTH_MISMATCH; as
 *   {@link sampleAnswers} and {@link judgeAnswers}
 */
export async function evaluateRefusal(options: EvaluateRefusalOptions): Promise<RefusalEvaluation> {
    const settings = parsed(evaluateOptions, options, "options");
    const { model, vector, strength, split, maxTokens, system } = settings;
    if (!(vector instanceof SteeringVector)) {
        throw new SteerError("INVALID_ARGUMENT", "vector must be a SteeringVector, such as loadVector gives");
    }
    const prompts = settings.prompts.filter((each) => each.split === split);
    if (prompts.length === 0) {
        throw new SteerError("EMPTY_CLASS", `there are no prompts in the split "${split}"`);
    }
    checkSteerable(model, vector);
    await using answering = await openAnswering(settings, prompts);
    settings.onEvent?.({ type: "phase", phase: "evaluating", number: 1, of: 1 });
    const result = await compare(answering.maker, prompts, vector, strength);
    return {
        ...result,
        settings: {
            model: answering.fingerprint,
            judge: settings.judge.id,
            answerer: settings.answerer?.id ?? null,
            vector: vector.metadata,
            split,
            strength,
            maxTokens,
            system: system ?? null,
        },
    };
}

/** @internal Both sides in the same batches, unless an answerer gives the baseline. */
export async function compare(
    maker: AnswerMaker,
    prompts: readonly Prompt[],
    vector: SteeringVector,
    strength: number,
): Promise<Omit<RefusalEvaluation, "settings">> {
    const lists = [{ prompts }, { prompts, steering: answerSteering(vector, strength) }];
    const [baseline, steered] = (await judgedAnswers(maker, lists, greedy)) as [JudgedAnswer[], JudgedAnswer[]];
    const sets = promptSets.flatMap((set): [PromptSet, ComparedRates][] => {
        const of = { baseline: ofSet(baseline, set), steered: ofSet(steered, set) };
        return of.baseline.length === 0
            ? []
            : [[set, { baseline: ratesOf(of.baseline), steered: ratesOf(of.steered) }]];
    });
    const coherence = await new CoherenceMeter(maker, baseline).measure(steered);
    return {
        sets: Object.fromEntries(sets),
        released: releasedBy(baseline, steered),
        coherence,
        answers: { baseline, steered },
    };
}

function releasedBy(baseline: readonly JudgedAnswer[], steered: readonly JudgedAnswer[]) {
    const released = steered.filter(
        (each, i) => each.prompt.set === "target" && isRefused(baseline[i] as JudgedAnswer) && !isRefused(each),
    );
    const keyed = released.map(isRight).filter((each) => each !== undefined);
    return { n: released.length, right: keyed.length === 0 ? null : keyed.filter((each) => each).length };
}

/** Fails before anything is computed. */
function checkSteerable(model: Model, vector: SteeringVector): void {
    if (vector.hiddenSize !== model.info.hiddenSize) {
        throw new SteerError(
            "WIDTH_MISMATCH",
            `the vector is ${vector.hiddenSize} wide, the model's residual stream ${model.info.hiddenSize}`,
        );
    }
}
