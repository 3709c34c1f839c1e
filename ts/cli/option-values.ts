import { InvalidArgumentError } from "commander";
import { z } from "zod";

// What options hold, checked. commander adds which option it was.

/** A reader of an option's text that refuses what the schema does. */
function checked<Schema extends z.ZodType>(schema: Schema): (text: string) => z.output<Schema> {
    return (text) => {
        const result = schema.safeParse(text);
        if (!result.success) {
            throw new InvalidArgumentError(`It ${result.error.issues[0]?.message}.`);
        }
        return result.data;
    };
}

/** A whole number within bounds. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
    const bounds = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`;
    const message = `must be a whole number ${bounds}`;
    const schema = z
        .string()
        .regex(/^[+-]?\d+$/, message)
        .transform(Number)
        .refine((value) => value >= least && value <= most, message);
    return checked(schema);
}

/** A finite number, also below zero. */
export function number(least = Number.NEGATIVE_INFINITY): (text: string) => number {
    const message = least === Number.NEGATIVE_INFINITY ? "must be a number" : `must be a number of ${least} or more`;
    const schema = z
        .string()
        .regex(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i, message)
        .transform(Number)
        .refine((value) => Number.isFinite(Math.fround(value)) && value >= least, message);
    return checked(schema);
}

/** A share, 0 .. 1. */
export function share(text: string): number {
    const message = "must be a share, from 0 to 1";
    const schema = z
        .string()
        .regex(/^(\d+\.?\d*|\.\d+)$/, message)
        .transform(Number)
        .refine((value) => value <= 1, message);
    return checked(schema)(text);
}

/** One of some words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(
    words: Words,
): (text: string) => Words[number] {
    return checked(z.enum(words, { error: `must be ${words.slice(0, -1).join(", ")} or ${words.at(-1)}` }));
}

/** A text that is not empty, such as a path. */
export const text = checked(z.string().min(1, "must not be empty"));

/** Layers on a GPU. */
export const gpuLayers = checked(
    z
        .string()
        .regex(/^(all|\d{1,6})$/, 'must be a whole number of 0 or more, or "all"')
        .transform((value) => (value === "all" ? ("all" as const) : Number(value))),
);

/** Gathers what an option that may come more than once holds, and each of its several values. */
export const gathered = (value: string, before: readonly string[] | undefined): string[] => [
    ...(before ?? []),
    text(value),
];
