import type { Context, Sequence, SteeringVector, TokenSelection } from "llama-steer";
import type { Prompt } from "./prompts.js";

export interface Answer {
    prompt: Prompt;
    text: string;
    meanLogProbability: number;
}

/** How answers are steered. */
export interface Setting {
    vector: SteeringVector;
    layer: number;
    strength: number;
    tokens: TokenSelection;
}

export interface AnswerOptions {
    /** Answers per prompt. Default 1. */
    samples?: number;
    /** Default 0, greedy. */
    temperature?: number;
    setting?: Setting;
    onAnswer?: () => void;
}

/** Answers prompts with as many sequences at a time as the context has; all of them advance in one batch. */
export async function answerAll(
    context: Context,
    prompts: readonly Prompt[],
    options: AnswerOptions,
): Promise<Answer[]> {
    const { samples = 1, temperature = 0, setting, onAnswer } = options;
    const jobs = prompts.flatMap((prompt) => Array.from({ length: samples }, (_, sample) => ({ prompt, sample })));
    const answers: Answer[] = new Array(jobs.length);
    let next = 0;

    const work = async (sequence: Sequence): Promise<void> => {
        if (setting !== undefined) {
            sequence.steer(setting.vector, {
                layers: setting.layer,
                strength: setting.strength,
                tokens: setting.tokens,
            });
        }
        for (let job = next++; job < jobs.length; job = next++) {
            const { prompt } = jobs[job] as (typeof jobs)[number];
            const generation = sequence.generate([{ role: "user", content: prompt.prompt }], {
                maxTokens: 48,
                temperature,
                seed: job,
            });
            const { text, meanLogProbability } = await generation.result();
            answers[job] = { prompt, text, meanLogProbability };
            sequence.clear();
            onAnswer?.();
        }
        await sequence.dispose();
    };
    const count = Math.min(context.options.sequences, jobs.length);
    await Promise.all(Array.from({ length: count }, () => work(context.sequence())));
    return answers;
}
