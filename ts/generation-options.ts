import type { CaptureOptions } from "./capture-request.js";
import { checkBoolean, checkObject, checkString, checkToken, describe } from "./check.js";
import { SteerError } from "./steer-error.js";

export interface GenerationOptions {
    /** Tokens to generate at most. Default 256. */
    maxTokens?: number;
    /** 0 (default): always the most probable token. */
    temperature?: number;
    /** Choose among the k most probable; 0, or as many as there are tokens: off. */
    topK?: number;
    /** Choose among the most probable that together have this probability; 1: off. */
    topP?: number;
    /** Choose among those at least this fraction as probable as the most probable; 0: off. */
    minP?: number;
    /** Above 1, tokens that occurred lately become less probable; 1: off. */
    repeatPenalty?: number;
    /** How many tokens `repeatPenalty` looks back on. Default 64. */
    repeatLast?: number;
    /** Added to the logits of tokens; `-Infinity` forbids one. */
    logitBias?: ReadonlyMap<number, number>;
    /** Tokens that end the answer, besides the model's own. Neither they nor their text belong to it. */
    stopTokens?: readonly number[];
    /**
     * Text that ends the answer before it, wherever tokens begin and end: the first of these strings to be complete. Tokens
     * that could still become part of one are held back until it is decided.
     */
    stop?: string | readonly string[];
    /**
     * What the answer must match, as llama.cpp's GBNF grammar. The grammar comes first: penalty, filters and temperature
     * choose among the tokens it allows. Where it is complete, the answer may end, and must if nothing can follow.
     */
    grammar?: string;
    /** The rule of `grammar` that the answer must match. Default `"root"`. */
    grammarRoot?: string;
    /** 0 .. 2^32-1. The same seed gives the same answer. Default 0. */
    seed?: number;
    /**
     * How many of the most probable tokens come with each token, in {@link GeneratedToken.alternatives}: as the model has
     * them, like log-probabilities. Default 0.
     */
    alternatives?: number;
    /**
     * Keeps activations of this prompt and its answer, which {@link GenerationResult.activations} brings. The last token
     * of an answer is chosen but not computed any more: it has no row.
     */
    capture?: CaptureOptions;
    /**
     * Takes the beginning of the prompt from another sequence of the context, where one was computed with the same steering:
     * see {@link Sequence.sharePrefix}. For a sequence that holds tokens, or with `capture`, it does nothing. Default false.
     */
    sharePrefix?: boolean;
    /** Ends the generation; iterating it then throws ABORTED. */
    signal?: AbortSignal;
}

/** Checks what a generation is given before its sequence is touched. */
export function checkGenerationOptions(options: GenerationOptions): void {
    checkObject(options, "options");
    if (options.logitBias !== undefined && !(options.logitBias instanceof Map)) {
        throw new SteerError("INVALID_ARGUMENT", "logitBias must be a Map of token id to bias");
    }
    for (const [token, bias] of options.logitBias ?? []) {
        checkToken(token, "a key of logitBias");
        if (typeof bias !== "number") {
            throw new SteerError("INVALID_ARGUMENT", `a bias must be a number, not ${describe(bias)}`);
        }
        if (bias !== Number.NEGATIVE_INFINITY && !Number.isFinite(Math.fround(bias))) {
            throw new SteerError("NOT_FINITE", `a bias must be finite or -Infinity, not ${bias}`);
        }
    }
    checkStop(options.stop);
    if (options.sharePrefix !== undefined) {
        checkBoolean(options.sharePrefix, "sharePrefix");
    }
    if (options.grammar !== undefined) {
        checkString(options.grammar, "grammar");
    }
    if (options.grammarRoot !== undefined) {
        checkString(options.grammarRoot, "grammarRoot");
        if (options.grammar === undefined) {
            throw new SteerError("INVALID_ARGUMENT", "grammarRoot is given without a grammar");
        }
    }
    if (options.stopTokens !== undefined && !Array.isArray(options.stopTokens)) {
        throw new SteerError("INVALID_ARGUMENT", "stopTokens must be an array of token ids");
    }
    for (const token of options.stopTokens ?? []) {
        checkToken(token, "a stop token");
    }
}

function checkStop(stop: unknown): void {
    if (stop === undefined) {
        return;
    }
    if (typeof stop !== "string" && !Array.isArray(stop)) {
        throw new SteerError("INVALID_ARGUMENT", `stop must be a string or an array of strings, not ${describe(stop)}`);
    }
    for (const each of stopStrings(stop as string | readonly string[])) {
        checkString(each, "a stop string");
        if (each === "") {
            throw new SteerError("INVALID_ARGUMENT", "a stop string must not be empty");
        }
        if (/\p{Surrogate}/u.test(each)) {
            throw new SteerError("INVALID_ARGUMENT", "a stop string holds half of a surrogate pair, which no text has");
        }
    }
}

/** The stop strings, in the order in which the native side numbers them. */
export function stopStrings(stop: string | readonly string[] | undefined): readonly string[] {
    return stop === undefined ? [] : typeof stop === "string" ? [stop] : stop;
}

/** The options as the native side takes them, without what is kept on this side. */
export function nativeOptions(options: GenerationOptions): { maxTokens: number } {
    const { signal, capture, logitBias, stopTokens, stop, ...rest } = options;
    return {
        maxTokens: 256,
        ...definedOnly(rest),
        ...biasArrays(logitBias),
        ...(stopTokens === undefined ? {} : { stopTokens: Int32Array.from(stopTokens) }),
        ...(stop === undefined ? {} : { stop: [...stopStrings(stop)] }),
    };
}

function definedOnly(options: object): object {
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function biasArrays(bias: ReadonlyMap<number, number> | undefined): object {
    if (bias === undefined || bias.size === 0) {
        return {};
    }
    return { biasTokens: Int32Array.from(bias.keys()), biasValues: Float32Array.from(bias.values()) };
}
