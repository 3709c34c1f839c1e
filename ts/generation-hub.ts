import type { NativeGenerationEnd, NativeStepListener } from "./native.js";

/** What the hub hands to a running generation. */
export interface GenerationSink {
    /** `textBytes`: how many bytes of its text count; -1: all. */
    push(token: number, logProbability: number, textBytes: number): void;
    end(end: NativeGenerationEnd): void;
}

/** Spreads the events of a native step, which come for all sequences at once, to the generations they belong to. */
export class GenerationHub {
    readonly #sinks = new Map<number, GenerationSink>();

    add(generation: number, sink: GenerationSink): void {
        this.#sinks.set(generation, sink);
    }

    readonly onStep: NativeStepListener = (generations, tokens, logProbabilities, textBytes, ends) => {
        for (let i = 0; i < tokens.length; i++) {
            const sink = this.#sinks.get(generations[i] as number);
            sink?.push(tokens[i] as number, logProbabilities[i] as number, textBytes[i] as number);
        }
        for (const end of ends) {
            this.#sinks.get(end.generation)?.end(end);
            this.#sinks.delete(end.generation);
        }
    };
}
