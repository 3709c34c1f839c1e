import type { Context } from "../index.js";
import { type AnswerSteering, type SampleOptions, sampleAnswers } from "./answers.js";
import type { Judge } from "./judge.js";
import { judgeAnswers } from "./judge-answers.js";
import type { JudgedAnswer } from "./judged-answers.js";
import type { Prompt } from "./prompt.js";

/** What answers are made and judged with. */
export interface AnswerMaker {
    context: Context;
    judge: Judge;
    /** `samples` and `steering` are given for each list. */
    options: Omit<SampleOptions, "steering">;
}

/** Prompts to be answered under one steering; without one, as the model does by itself. */
export interface AnswerList {
    prompts: readonly Prompt[];
    steering?: AnswerSteering | undefined;
}

/**
 * Has lists answered and judged, all in the same batches whatever steers them.
 *
 * @returns for each list its answers, prompt by prompt
 * @throws SteerError as {@link sampleAnswers} and {@link judgeAnswers}
 */
export async function judgedAnswers(
    { context, judge, options }: AnswerMaker,
    lists: readonly AnswerList[],
    sampling: Pick<SampleOptions, "samples" | "temperature">,
): Promise<JudgedAnswer[][]> {
    const prompts = lists.flatMap((list) => list.prompts);
    const steering = lists.flatMap((list) => list.prompts.map(() => list.steering));
    const answers = await sampleAnswers(context, prompts, { ...options, ...sampling, steering });
    const samples = sampling.samples ?? 1;
    const texts = answers.map(({ text }, i) => ({
        question: (prompts[Math.floor(i / samples)] as Prompt).prompt,
        answer: text,
    }));
    const { run, signal, onEvent } = options;
    const verdicts = await judgeAnswers(judge, texts, { run, signal, onEvent });
    const judged = answers.map(
        (answer, i): JudgedAnswer => ({
            prompt: prompts[Math.floor(i / samples)] as Prompt,
            answer,
            verdict: verdicts[i] as JudgedAnswer["verdict"],
        }),
    );
    let begin = 0;
    return lists.map((list) => {
        const end = begin + list.prompts.length * samples;
        const part = judged.slice(begin, end);
        begin = end;
        return part;
    });
}

/** Greedy answers, one for each prompt: what settings are chosen by and results measured with. */
export const greedy = { samples: 1, temperature: 0 } as const;
