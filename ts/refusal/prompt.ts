import { z } from "zod";
import { SteerError } from "../index.js";

/**
 * What is to become of the refusals of a prompt: those of a `target` change, those to `preserve` stay, and a `neutral`
 * prompt is answered before and after.
 */
export const promptSets = ["target", "preserve", "neutral"] as const;
export type PromptSet = (typeof promptSets)[number];

/** Directions are fitted on `fit`, settings chosen with `select`, and results measured on `eval`. */
export const splits = ["fit", "select", "eval"] as const;
export type Split = (typeof splits)[number];

export interface Prompt {
    /** Unique among all prompts of a run. */
    id: string;
    set: PromptSet;
    prompt: string;
    split: Split;
    /** One true answer. */
    answer?: string | undefined;
    /** An answer is right where it contains it. */
    key?: string | undefined;
    /** What the prompt is about. All prompts of an entity are in one split, so that nothing leaks. */
    entity?: string | undefined;
    /** A category, for tables. */
    kind?: string | undefined;
}

const text = z.string().refine((value) => value.trim() !== "", "must not be empty");
const oneOf = <Value extends string>(values: readonly Value[], name: string) =>
    z.enum(values, { error: ({ input }) => `unknown ${name} ${JSON.stringify(input)}: must be ${values.join(", ")}` });
/** Tables write what is not there as null or as nothing. */
const optionalText = z.preprocess(
    (value) => (value === null || value === "" ? undefined : value),
    z.string().optional(),
);

/** A prompt as files hold it: without a split, or without an id. */
export const rawPrompt = z.object({
    id: z.preprocess((value) => (typeof value === "number" ? String(value) : value), text.optional()),
    set: oneOf(promptSets, "set"),
    prompt: text,
    split: z.preprocess(
        (value) => (value === null || value === "" ? undefined : value),
        oneOf(splits, "split").optional(),
    ),
    answer: optionalText,
    key: optionalText,
    entity: optionalText,
    kind: optionalText,
});
export type RawPrompt = z.output<typeof rawPrompt>;

/**
 * Refuses prompts that lack a set, or a split of it.
 *
 * @throws SteerError EMPTY_CLASS, with the number of prompts of every set and split
 */
export function requirePrompts(
    prompts: readonly Prompt[],
    sets: readonly PromptSet[],
    among: readonly Split[] = splits,
): void {
    const count = (set: PromptSet, split: Split): number =>
        prompts.filter((each) => each.set === set && each.split === split).length;
    const empty = sets.flatMap((set) =>
        among.filter((split) => count(set, split) === 0).map((split) => `${set}/${split}`),
    );
    if (empty.length > 0) {
        const table = promptSets.map(
            (set) => `${set} ${splits.map((split) => `${split} ${count(set, split)}`).join(", ")}`,
        );
        throw new SteerError(
            "EMPTY_CLASS",
            `there are no prompts of ${empty.join(", ")} (there are: ${table.join("; ")})`,
        );
    }
}
