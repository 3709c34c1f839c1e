import { type Context, SteerError } from "../index.js";
import type { FinishAnswers } from "./answer-batches.js";
import type { AnswerItem } from "./answer-items.js";
import type { Answerer } from "./answerer.js";
import type { SampleSettings } from "./answers.js";
import { checkServedModel, type ServedAnswer } from "./served-model.js";
import { defaultThoughtMarkers } from "./thoughts.js";

/** Answers that are compared with the model that is steered, before any is kept and the others are asked for. */
const compared = 16;

/**
 * Has unsteered answers given by somebody else. Each is finished alone, but for the first ones, which are finished when they
 * were compared with the model of `context`.
 *
 * @throws SteerError ANSWERS_FAILED, MODEL_MISMATCH, ABORTED; as {@link Context.evaluate}
 */
export async function answerElsewhere(
    context: Context,
    answerer: Answerer,
    items: readonly AnswerItem[],
    settings: SampleSettings,
    finish: FinishAnswers,
): Promise<void> {
    // Spread over the prompts, and so over the sets and samples.
    const step = Math.max(1, Math.floor(items.length / compared));
    const isFirst = (i: number): boolean => i % step === 0 && i / step < compared;
    const first = items.filter((_, i) => isFirst(i));
    const served: ServedAnswer[] = [];
    let failed: { error: unknown } | undefined;
    try {
        await ask(context, answerer, first, settings, (each) => served.push(each));
    } catch (error) {
        failed = { error };
    }
    // What came before a failure is kept, if it may be.
    if (served.length > 0) {
        await checkServedModel(context, answerer, served, settings);
        finish(
            served.map(({ item, answer }) => [item, answer] as const),
            undefined,
        );
    }
    if (failed !== undefined) {
        throw failed.error;
    }
    const rest = items.filter((_, i) => !isFirst(i));
    await ask(context, answerer, rest, settings, ({ item, answer }) => finish([[item, answer]], undefined));
}

async function ask(
    { model }: Context,
    answerer: Answerer,
    items: readonly AnswerItem[],
    settings: SampleSettings,
    take: (served: ServedAnswer) => void,
): Promise<void> {
    const { temperature, topK, topP, minP, maxTokens, thoughts = defaultThoughtMarkers, signal, onEvent } = settings;
    if (items.length === 0) {
        return;
    }
    const given = new Set<number>();
    await answerer.answer(items, {
        sampling: { temperature, topK, topP, minP, maxTokens },
        thoughts,
        tokenizer: model.tokenizer,
        onAnswer: (index, answer, raw) => {
            given.add(index);
            take({ item: items[index] as AnswerItem, answer, raw });
        },
        signal,
        onEvent,
    });
    if (given.size < items.length) {
        throw new SteerError(
            "ANSWERS_FAILED",
            `${answerer.id} gave ${given.size} answers and was asked for ${items.length}`,
        );
    }
}
