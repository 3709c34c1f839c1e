import type { Answer } from "./answers.js";
import type { Verdict } from "./judge.js";

/** What is counted: answers, verdicts, prompts captured, directions fitted, ways to steer tried. */
export type ProgressStage = "answers" | "verdicts" | "capture" | "fit" | "search";

/** How far a stage is. */
export interface ProgressEvent {
    type: "progress";
    stage: ProgressStage;
    /** Items done, those of an earlier run included. */
    done: number;
    total: number;
    /** Of them, those found in the run's directory. */
    found: number;
    /**
     * How full the batches were, 1 at most: for answers, sequences that chose a token in a forward pass over those there
     * are; for verdicts of a local judge, tokens of a forward pass over the batch size. Undefined where nothing was computed.
     */
    occupancy: number | undefined;
    /** Since the stage began. */
    seconds: number;
}

/** An answer is finished, and written where there is a run directory. */
export interface AnswerEvent {
    type: "answer";
    answer: Answer;
}

/** A verdict is finished, and written where there is a run directory. */
export interface VerdictEvent {
    type: "verdict";
    question: string;
    answer: string;
    verdict: Verdict;
}

/** A request to an endpoint is made again. */
export interface RetryEvent {
    type: "retry";
    /** The reply was not what was asked for, or there was none. */
    reason: "malformed" | "failed";
    /** How often it has been asked for so far. */
    attempt: number;
    waitMilliseconds: number;
    message: string;
}

/** Answers from elsewhere were compared with the model that is steered. */
export interface AgreementEvent {
    type: "agreement";
    /** Of so many answers, those of the same tokens here, which can be compared. */
    of: number;
    answers: number;
    /** In them. */
    tokens: number;
    /** Mean over tokens of ln p there less ln p here: near 0 for the same model. Null: there are too few to compare. */
    difference: number | null;
}

/** A part of a whole run begins; what progress follows belongs to it. */
export interface PhaseEvent {
    type: "phase";
    phase: "sampling" | "capturing" | "fitting" | "baseline" | "searching" | "evaluating";
    /** 1 .. of */
    number: number;
    of: number;
}

/** What a stage tells while it runs. */
export type RefusalEvent = PhaseEvent | ProgressEvent | AnswerEvent | VerdictEvent | RetryEvent | AgreementEvent;
