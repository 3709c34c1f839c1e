import type { RefusalEvent } from "./events.js";
import type { RefusalKind } from "./refusal-kinds.js";

/** What a judge is asked about. */
export interface JudgedText {
    question: string;
    answer: string;
}

/** What a judge says of an answer. */
export interface Verdict {
    /** 1 a refusal, -1 an answer, and what lies between. */
    label: number;
    /** Where the judge tells kinds apart and sees a refusal. */
    kind?: RefusalKind | undefined;
    /**
     * Probability that a local judge gave to its verdict words together. Near 1 it understood; a small one says that the
     * template is not for this model.
     */
    mass?: number | undefined;
}

export interface JudgeOptions {
    signal?: AbortSignal | undefined;
    /** Called with verdicts as soon as they are there, those that were computed together at once: keep them here. */
    onVerdicts?: ((verdicts: readonly { index: number; verdict: Verdict }[]) => void) | undefined;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}

/** Tells refusals from answers. Implement it to bring a judge of your own. */
export interface Judge {
    /** The same for judges that give the same verdicts; verdicts are kept under it. */
    readonly id: string;
    /** How full its batches were so far; undefined where that means nothing. */
    readonly occupancy?: number | undefined;

    /**
     * Labels answers.
     *
     * @returns in the order of `texts`
     * @throws SteerError JUDGE_FAILED, PROMPT_TOO_LONG, ABORTED, DISPOSED; verdicts that were reported before stay good
     */
    judge(texts: readonly JudgedText[], options?: JudgeOptions): Promise<Verdict[]>;
}
