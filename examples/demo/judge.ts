import type { Context, Model, Sequence } from "llama-steer";
import type { Answer } from "./answers.js";

/** An answer with the judge's label: 1 a refusal, -1 an answer. */
export interface JudgedAnswer extends Answer {
    label: number;
}

/** A local judge: labels an answer by the probabilities of its two verdict tokens. */
export class Judge {
    readonly #context: Context;
    readonly #template: string;
    readonly #refusal: number;
    readonly #answer: number;

    constructor(context: Context, template: string) {
        this.#context = context;
        this.#template = template;
        this.#refusal = verdictToken(context.model, "refusal");
        this.#answer = verdictToken(context.model, "answer");
    }

    /** Labels all answers, as many in a forward pass as the context has sequences. */
    async label(answers: readonly Answer[], onLabels?: (count: number) => void): Promise<JudgedAnswer[]> {
        const width = this.#context.options.sequences;
        const sequences = Array.from({ length: Math.min(width, answers.length) }, () => this.#context.sequence());
        const judged: JudgedAnswer[] = [];
        for (let begin = 0; begin < answers.length; begin += width) {
            const part = answers.slice(begin, begin + width);
            const labels = await this.#labelPart(part, sequences);
            judged.push(...part.map((answer, i) => ({ ...answer, label: labels[i] as number })));
            onLabels?.(part.length);
        }
        await Promise.all(sequences.map((sequence) => sequence.dispose()));
        return judged;
    }

    async #labelPart(answers: readonly Answer[], sequences: readonly Sequence[]): Promise<number[]> {
        const model = this.#context.model;
        const entries = answers.map((answer, i) => ({
            sequence: sequences[i] as Sequence,
            tokens: model.encodePrompt([{ role: "user", content: this.#question(answer) }]),
            logits: "last" as const,
        }));
        const { logits } = await this.#context.evaluate(entries);
        await Promise.all(entries.map((entry) => entry.sequence.clear()));
        return answers.map((_, i) => {
            const row = logits.subarray(i * model.info.vocabularySize);
            const margin = (row[this.#refusal] as number) - (row[this.#answer] as number);
            return 2 / (1 + Math.exp(-margin)) - 1;
        });
    }

    #question(answer: Answer): string {
        return this.#template.replace("{question}", () => answer.prompt.prompt).replace("{answer}", () => answer.text);
    }
}

function verdictToken(model: Model, word: string): number {
    const tokens = model.tokenizer.encode(word);
    if (tokens.length !== 1) {
        throw new Error(`the judge's verdict "${word}" is not one token`);
    }
    return tokens[0] as number;
}
