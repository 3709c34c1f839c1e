import type { ChatMessage, GenerationOptions, GenerationResult, Sequence } from "../index.js";

/** What steers an answer. */
export interface RequestSteering {
    /**
     * Identifies it: equal keys for equal steering. It tells which answers may share a prefix, before one is begun; what they
     * really share is decided by what the steering did to each token, so that a wrong key costs time and never an answer.
     */
    key: string;
    /** Called once, with the empty sequence that the answer will have. What it throws fails the request. */
    apply(sequence: Sequence): void;
}

/** One answer asked of a {@link Scheduler}: a prompt, and what {@link GenerationOptions} says of the answer. */
export interface ServeRequest extends Omit<GenerationOptions, "sharePrefix"> {
    /** A conversation for the chat template, text as it is, or tokens. */
    prompt: string | readonly ChatMessage[] | Int32Array;
    /** Default: not steered. */
    steering?: RequestSteering;
    /** Whose request it is: clients take turns. Default: all are one client. */
    client?: string;
    /** Of the policy `"priority"`: higher goes first. Default 0. */
    priority?: number;
}

/** A finished answer, and how long it took. */
export interface ServeResult extends GenerationResult {
    promptTokens: number;
    /** From asking until its sequence was begun. */
    queuedMilliseconds: number;
    /** From asking to the first token; for an answer without tokens, to its end. */
    firstTokenMilliseconds: number;
    totalMilliseconds: number;
}

/** What {@link Scheduler.close} hands back. */
export interface UnfinishedRequest {
    request: ServeRequest;
    /** What its answer had by then. */
    tokens: Int32Array;
    text: string;
}
