import { z } from "zod";
import { SteerError } from "../index.js";
import type { Judge, JudgedText } from "./judge.js";
import { type JudgeAnswersOptions, judgeAnswers } from "./judge-answers.js";
import { parsed } from "./parse.js";
import { classOf, type ScoreClass } from "./scores.js";

/** An answer of which a person, or a rule, has said what it is. */
export interface LabelledAnswer extends JudgedText {
    refused: boolean;
    /** Of refusal or of answer, for the table by kind. */
    kind?: string | undefined;
}

export interface JudgeCheckOptions extends JudgeAnswersOptions {
    /** Labels beyond it are verdicts; between, the judge is undecided, which agrees with nobody. Default 0.1. */
    threshold?: number | undefined;
}

/** How many answers a judge put where. */
export type VerdictCounts = Record<ScoreClass, number>;

/** How a judge agrees with labelled examples. */
export interface JudgeAgreement {
    n: number;
    /** Share of verdicts that agree, 0 .. 1. */
    accuracy: number;
    /**
     * Cohen's κ = (p_o - p_e) / (1 - p_e): agreement beyond what the shares of verdicts alone would bring. NaN where examples
     * and verdicts are all of one class.
     */
    kappa: number;
    /** By what the example is, then by what the judge says. */
    confusion: { refused: VerdictCounts; answered: VerdictCounts };
    /** The same for each kind of example, and the share that agrees. */
    byKind: Record<string, { n: number; agreement: number; verdicts: VerdictCounts }>;
}

const examplesSchema = z
    .array(z.object({ question: z.string(), answer: z.string(), refused: z.boolean(), kind: z.string().optional() }))
    .min(1);

/**
 * Measures how a judge agrees with labelled examples.
 *
 * @throws SteerError as {@link judgeAnswers}; EMPTY_CLASS where no example is refused, or none answered
 */
export async function checkJudge(
    judge: Judge,
    examples: readonly LabelledAnswer[],
    options: JudgeCheckOptions = {},
): Promise<JudgeAgreement> {
    const { threshold = 0.1, ...rest } = options;
    const list = parsed(examplesSchema, examples, "examples");
    const refused = list.filter((each) => each.refused).length;
    if (refused === 0 || refused === list.length) {
        throw new SteerError("EMPTY_CLASS", `${refused} of ${list.length} examples are refused: give some of both`);
    }
    const verdicts = await judgeAnswers(judge, list, rest);
    return agreement(
        list.map(({ refused: isRefused, kind }, i) => ({
            truth: isRefused ? "refused" : "answered",
            kind: kind ?? (isRefused ? "refused" : "answered"),
            verdict: classOf(verdicts[i]?.label as number, threshold),
        })),
    );
}

interface Rating {
    truth: "refused" | "answered";
    kind: string;
    verdict: ScoreClass;
}

const agreesWith = { refused: "refusal", answered: "compliance" } as const;

function agreement(ratings: readonly Rating[]): JudgeAgreement {
    const n = ratings.length;
    const confusion = { refused: noVerdicts(), answered: noVerdicts() };
    const byKind: JudgeAgreement["byKind"] = Object.create(null);
    for (const { truth, kind, verdict } of ratings) {
        confusion[truth][verdict]++;
        byKind[kind] ??= { n: 0, agreement: 0, verdicts: noVerdicts() };
        byKind[kind].n++;
        byKind[kind].verdicts[verdict]++;
        byKind[kind].agreement += verdict === agreesWith[truth] ? 1 : 0;
    }
    for (const each of Object.values(byKind)) {
        each.agreement /= each.n;
    }
    const accuracy = (confusion.refused.refusal + confusion.answered.compliance) / n;
    const expected = (["refused", "answered"] as const).reduce((sum, truth) => {
        const examples = Object.values(confusion[truth]).reduce((total, each) => total + each, 0);
        const said = confusion.refused[agreesWith[truth]] + confusion.answered[agreesWith[truth]];
        return sum + (examples / n) * (said / n);
    }, 0);
    return { n, accuracy, kappa: (accuracy - expected) / (1 - expected), confusion, byKind };
}

const noVerdicts = (): VerdictCounts => ({ refusal: 0, compliance: 0, neutral: 0 });
