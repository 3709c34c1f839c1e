import { z } from "zod";
import { SteerError } from "../index.js";
import { contentKey } from "./content-key.js";
import type { RefusalEvent } from "./events.js";
import type { Judge, JudgedText, Verdict } from "./judge.js";
import { parsed, throwIfAborted } from "./parse.js";
import { StageProgress } from "./progress.js";
import { refusalKinds } from "./refusal-kinds.js";
import type { RunDirectory } from "./run-directory.js";

export interface JudgeAnswersOptions {
    /** Keeps verdicts, and finds those of an earlier run. */
    run?: RunDirectory | undefined;
    signal?: AbortSignal | undefined;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}

const judgedTexts = z.array(z.looseObject({ question: z.string(), answer: z.string() }));
export const keptVerdict = z.object({
    label: z.number().min(-1).max(1),
    kind: z.enum(refusalKinds).optional(),
    mass: z.number().optional(),
});

/**
 * Has answers judged, each question with the same answer once, and none that the run's directory has a verdict for by this
 * judge. What a judge reports before it fails is kept.
 *
 * @returns in the order of `texts`
 * @throws SteerError as {@link Judge.judge}; FILE_WRITE_FAILED, DATA_DAMAGED, INVALID_ARGUMENT
 */
export async function judgeAnswers(
    judge: Judge,
    texts: readonly JudgedText[],
    options: JudgeAnswersOptions = {},
): Promise<Verdict[]> {
    const list = parsed(judgedTexts, texts, "texts");
    const { run, signal, onEvent } = options;
    throwIfAborted(signal);
    const journal = run?.journal("verdicts", keptVerdict);
    const keys = list.map(({ question, answer }) => contentKey("verdict", judge.id, question, answer));
    const verdicts = new Map<string, Verdict>();
    const todo = new Map<string, JudgedText>();
    const copies = new Map<string, number>();
    keys.forEach((key, i) => {
        const found = journal?.get(key);
        found === undefined ? todo.set(key, list[i] as JudgedText) : verdicts.set(key, found);
        copies.set(key, (copies.get(key) ?? 0) + 1);
    });

    const found = keys.filter((key) => verdicts.has(key)).length;
    const progress = new StageProgress("verdicts", keys.length, found, onEvent);
    const asked = [...todo];
    const keep = (done: readonly { index: number; verdict: Verdict }[]): void => {
        const entries = done.map(
            ({ index, verdict }) => [(asked[index] as [string, JudgedText])[0], checked(verdict)] as const,
        );
        journal?.append(entries);
        for (const [key, verdict] of entries) {
            verdicts.set(key, verdict);
            const { question, answer } = todo.get(key) as JudgedText;
            onEvent?.({ type: "verdict", question, answer, verdict });
        }
        const count = entries.reduce((sum, [key]) => sum + (copies.get(key) as number), 0);
        progress.advance(count, judge.occupancy);
    };
    if (asked.length > 0) {
        const unasked = asked.map(([, text]) => text);
        const all = await judge.judge(unasked, { signal, onEvent, onVerdicts: keep });
        // A judge that reports nothing as it goes is heard at its end.
        const silent = all.flatMap((verdict, index) =>
            verdicts.has(asked[index]?.[0] ?? missing()) ? [] : [{ index, verdict }],
        );
        if (silent.length > 0) {
            keep(silent);
        }
    }
    return keys.map((key) => verdicts.get(key) ?? missing());
}

function checked(verdict: Verdict): Verdict {
    const result = keptVerdict.safeParse(verdict);
    if (!result.success) {
        throw new SteerError(
            "JUDGE_FAILED",
            `the judge gave a verdict with no label in -1 .. 1: ${JSON.stringify(verdict)}`,
        );
    }
    return result.data;
}

function missing(): never {
    throw new SteerError("JUDGE_FAILED", "the judge gave fewer verdicts than it was given answers");
}
