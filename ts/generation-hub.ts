import type { NativeGenerationEnd, NativeStepListener } from "./native.js";

/** What the hub hands to a running generation. */
export interface GenerationSink {
    push(token: number, logProbability: number): void;
    end(end: NativeGenerationEnd): void;
}

/** Spreads the events of a native step, which come for all sequences at once, to the generations they belong to. */
export class GenerationHub {
    readonly #sinks = new Map<number, GenerationSink>();

    add(generation: number, sink: GenerationSink): void {
        this.#sinks.set(generation, sink);
    }

    readonly onStep: NativeStepListener = (generations, tokens, logProbabilities, ends) => {
        for (let i = 0; i < tokens.length; i++) {
            this.#sinks.get(generations[i] as number)?.push(tokens[i] as number, logProbabilities[i] as number);
        }
        for (const end of ends) {
            this.#sinks.get(end.generation)?.end(end);
            this.#sinks.delete(end.generation);
        }
    };
}
