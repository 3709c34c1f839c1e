import type { NativeAlternatives, NativeGenerationEnd, NativeProjections, NativeStepListener } from "./native.js";

/** A token that could have been chosen. */
export interface TokenAlternative {
    token: number;
    /** ln p(token), as that of the token chosen. */
    logProbability: number;
}

/** What comes with some tokens only. */
export interface TokenExtras {
    /** By the id of the intervention that found them. */
    projections: Map<number, Float32Array> | undefined;
    alternatives: readonly TokenAlternative[] | undefined;
}

/** What the hub hands to a running generation. */
export interface GenerationSink {
    /** `textBytes`: how many bytes of its text count; -1: all. */
    push(token: number, logProbability: number, textBytes: number, extras: TokenExtras): void;
    end(end: NativeGenerationEnd): void;
}

/** Spreads the events of a native step, which come for all sequences at once, to the generations they belong to. */
export class GenerationHub {
    readonly #sinks = new Map<number, GenerationSink>();

    add(generation: number, sink: GenerationSink): void {
        this.#sinks.set(generation, sink);
    }

    readonly onStep: NativeStepListener = (generations, tokens, logProbabilities, textBytes, ends, found, others) => {
        const reported = found === undefined ? undefined : reportsByToken(found);
        const listed = others === undefined ? undefined : alternativesByToken(others);
        for (let i = 0; i < tokens.length; i++) {
            const sink = this.#sinks.get(generations[i] as number);
            const extras = { projections: reported?.get(i), alternatives: listed?.[i] };
            sink?.push(tokens[i] as number, logProbabilities[i] as number, textBytes[i] as number, extras);
        }
        for (const end of ends) {
            this.#sinks.get(end.generation)?.end(end);
            this.#sinks.delete(end.generation);
        }
    };
}

function reportsByToken({
    tokens,
    interventions,
    counts,
    values,
}: NativeProjections): Map<number, Map<number, Float32Array>> {
    const reports = new Map<number, Map<number, Float32Array>>();
    let begin = 0;
    tokens.forEach((token, i) => {
        const end = begin + (counts[i] as number);
        const ofToken = reports.get(token) ?? new Map<number, Float32Array>();
        ofToken.set(interventions[i] as number, values.slice(begin, end));
        reports.set(token, ofToken);
        begin = end;
    });
    return reports;
}

/** Undefined for tokens that have none. */
function alternativesByToken({
    counts,
    tokens,
    logProbabilities,
}: NativeAlternatives): (readonly TokenAlternative[] | undefined)[] {
    let begin = 0;
    return Array.from(counts, (count) => {
        const own = Array.from(tokens.subarray(begin, begin + count), (token, i) => ({
            token,
            logProbability: logProbabilities[begin + i] as number,
        }));
        begin += count;
        return count === 0 ? undefined : own;
    });
}
