import type { Context, DirectionFit } from "llama-steer";
import { answerAll, type Setting } from "./answers.js";
import type { Judge, JudgedAnswer } from "./judge.js";
import type { Prompt } from "./prompts.js";
import { rates, ratesBySet } from "./scores.js";

/** A setting and how many of the target prompts it left refused, on the prompts it was chosen with. */
export interface Choice {
    setting: Setting;
    targetRefusals: number;
}

const strengths = [-0.8, -1.1, -1.4, -1.8, -2.2];
/** What steering may cost: refusals that must stay, and true answers to neutral prompts. */
const keptRefusals = 0.97;
const lostAnswers = 0.02;

export const candidateCount = (layers: number): number => layers * strengths.length;

/**
 * Looks for the layer and strength that leave the fewest target refusals while refusals to preserve and neutral answers
 * stay: first every candidate on the target prompts, then, from the best down, the others' prompts until one keeps them.
 */
export async function choose(
    context: Context,
    judge: Judge,
    fit: DirectionFit,
    prompts: readonly Prompt[],
    baseline: readonly JudgedAnswer[],
    onCandidate: () => void,
): Promise<Choice> {
    const targets = prompts.filter((each) => each.set === "target");
    const others = prompts.filter((each) => each.set !== "target");
    const tried: Choice[] = [];
    for (const layer of fit.vector.layers) {
        for (const strength of strengths) {
            const setting: Setting = { vector: fit.vector, layer, strength, tokens: "last-prompt" };
            const judged = await judge.label(await answerAll(context, targets, { setting }));
            tried.push({ setting, targetRefusals: rates(judged).refusalRate });
            onCandidate();
        }
    }
    tried.sort((a, b) => a.targetRefusals - b.targetRefusals || b.setting.strength - a.setting.strength);

    const before = ratesBySet(baseline);
    for (const choice of tried) {
        const answers = await judge.label(await answerAll(context, others, { setting: choice.setting }));
        const preserve = rates(answers.filter((each) => each.prompt.set === "preserve"));
        const neutral = rates(answers.filter((each) => each.prompt.set === "neutral"));
        if (
            preserve.refusalRate >= keptRefusals * before.preserve.refusalRate &&
            neutral.accuracy >= before.neutral.accuracy - lostAnswers
        ) {
            return choice;
        }
    }
    throw new Error("no setting kept the refusals to preserve and the neutral answers");
}
