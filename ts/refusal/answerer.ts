import type { ChatMessage, Tokenizer } from "../index.js";
import type { Answer } from "./answers.js";
import type { RefusalEvent } from "./events.js";
import type { ThoughtMarkers } from "./thoughts.js";

/** An answer that somebody else is asked for. */
export interface AskedAnswer {
    /** Id of its prompt. */
    prompt: string;
    messages: readonly ChatMessage[];
    /** The same, as the model that is steered reads it. */
    tokens: Int32Array;
    /** 0 .. 2^32-1. */
    seed: number;
}

/** An answer as somebody else gives it. */
export type GivenAnswer = Omit<Answer, "prompt" | "sample">;

/** Takes an answer: the index of what was asked, what was given, and all of its text with markers and reasoning, if known. */
export type TakeAnswer = (index: number, answer: GivenAnswer, raw: string | undefined) => void;

export interface AnswererOptions {
    /** As {@link SampleOptions} has them; undefined: off. */
    sampling: {
        temperature: number;
        topK: number | undefined;
        topP: number | undefined;
        minP: number | undefined;
        maxTokens: number;
    };
    /** What encloses reasoning, which is no part of an answer. */
    thoughts: readonly ThoughtMarkers[];
    /** Of the model that is steered. */
    tokenizer: Tokenizer;
    /** Called with each answer as soon as it is there. */
    onAnswer: TakeAnswer;
    signal?: AbortSignal | undefined;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}

/** Gives unsteered answers in place of the model that is steered, as a cluster that serves the same one. */
export interface Answerer {
    /** The same for answerers that give the same answers, which are kept under it. */
    readonly id: string;
    /**
     * How far its mean log-probability of a token may be from that of the model that is steered, either way, for the same
     * tokens, in nats. Undefined: it is not compared.
     */
    readonly tolerance?: number | undefined;

    /**
     * Answers, and tells of each answer by `onAnswer`.
     *
     * @throws SteerError ANSWERS_FAILED, MODEL_MISMATCH, ABORTED; answers that were told before stay good
     */
    answer(asked: readonly AskedAnswer[], options: AnswererOptions): Promise<void>;
}
