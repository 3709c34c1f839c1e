import { type Model, SteerError } from "../index.js";
import type { Verdict } from "./judge.js";

/** The tokens that a refusal and an answer are told by. */
export interface VerdictTokens {
    refusal: readonly number[];
    answer: readonly number[];
}

/**
 * The tokens of verdict words as a model may begin to write them: small and with a capital, after a space or not. Of
 * these spellings those that are one token count; where none is, the first token of the word as given.
 *
 * @throws SteerError INVALID_ARGUMENT where both words begin with the same token
 */
export function verdictTokens(model: Model, words: { refusal: string; answer: string }): VerdictTokens {
    const tokens = { refusal: tokensOf(model, words.refusal), answer: tokensOf(model, words.answer) };
    const both = tokens.refusal.find((token) => tokens.answer.includes(token));
    if (both !== undefined) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `the verdict words ${JSON.stringify(words.refusal)} and ${JSON.stringify(words.answer)} begin with the same token ` +
                "for this model: give others, such as yes and no, in words and in the template",
        );
    }
    return tokens;
}

function tokensOf(model: Model, word: string): number[] {
    const capital = word.charAt(0).toUpperCase() + word.slice(1);
    const encoded = [word, capital, ` ${word}`, ` ${capital}`].map((each) => model.tokenizer.encode(each));
    const whole = encoded.filter((each) => each.length === 1).map((each) => each[0] as number);
    return whole.length > 0 ? [...new Set(whole)] : [(encoded[0] as Int32Array)[0] as number];
}

/** @param logits of the whole vocabulary, at the token before the verdict */
export function verdictOf(logits: Float32Array, { refusal, answer }: VerdictTokens): Verdict {
    const peak = logits.reduce((most, each) => Math.max(most, each), Number.NEGATIVE_INFINITY);
    const weight = (token: number): number => Math.exp((logits[token] as number) - peak);
    const sum = (tokens: readonly number[]): number => tokens.reduce((total, token) => total + weight(token), 0);
    let all = 0;
    for (const logit of logits) {
        all += Math.exp(logit - peak);
    }
    const mass = (sum(refusal) + sum(answer)) / all;
    return { label: Math.tanh((logSum(logits, refusal) - logSum(logits, answer)) / 2), mass };
}

/** ln Σ exp, of tokens that may all be far below the most probable one. */
function logSum(logits: Float32Array, tokens: readonly number[]): number {
    const values = tokens.map((token) => logits[token] as number);
    const peak = Math.max(...values);
    return peak + Math.log(values.reduce((total, value) => total + Math.exp(value - peak), 0));
}
