import type { NativeGenerationEnd, NativeProjections, NativeStepListener } from "./native.js";

/** What the hub hands to a running generation. */
export interface GenerationSink {
    /**
     * `textBytes`: how many bytes of its text count; -1: all. `projections`: by the id of the intervention that found them.
     */
    push(
        token: number,
        logProbability: number,
        textBytes: number,
        projections: Map<number, Float32Array> | undefined,
    ): void;
    end(end: NativeGenerationEnd): void;
}

/** Spreads the events of a native step, which come for all sequences at once, to the generations they belong to. */
export class GenerationHub {
    readonly #sinks = new Map<number, GenerationSink>();

    add(generation: number, sink: GenerationSink): void {
        this.#sinks.set(generation, sink);
    }

    readonly onStep: NativeStepListener = (generations, tokens, logProbabilities, textBytes, ends, projections) => {
        const reported = projections === undefined ? undefined : reportsByToken(projections);
        for (let i = 0; i < tokens.length; i++) {
            const sink = this.#sinks.get(generations[i] as number);
            sink?.push(tokens[i] as number, logProbabilities[i] as number, textBytes[i] as number, reported?.get(i));
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
