import { z } from "zod";
import { SteerError } from "../index.js";
import { contentKey } from "./content-key.js";
import { issuesOf, parsed } from "./parse.js";
import { type Prompt, type PromptSet, promptSets, type RawPrompt, rawPrompt } from "./prompt.js";
import { type PromptColumns, promptProperties } from "./prompt-shapes.js";
import { tableRows } from "./prompt-tables.js";
import { type SplitOptions, withSplits } from "./splits.js";

/** A file of prompts, and what it does not say itself. */
export interface PromptFile {
    path: string;
    /** The set of prompts that name none. */
    set?: PromptSet | undefined;
    columns?: PromptColumns | undefined;
}

const column = z.string().optional();
const promptFile = z.object({
    path: z.string(),
    set: z.enum(promptSets).optional(),
    columns: z
        .strictObject({
            id: column,
            set: column,
            prompt: column,
            split: column,
            answer: column,
            key: column,
            entity: column,
            kind: column,
        })
        .optional(),
});
const source = z.union([z.string().transform((path): PromptFile => ({ path })), promptFile]);
const sources = z.union([source.transform((each) => [each]), z.array(source).min(1)]);
const share = z.number().min(0).max(1).optional();
const splitOptions = z.object({ seed: z.int().optional(), evalShare: share, selectShare: share });

/**
 * Reads prompts from files: JSON Lines `{ id, set, prompt, answer?, key?, entity?, kind?, split? }`, the same as a JSON
 * array, CSV or parquet, and the CSV files of JailbreakBench and XSTest as they are downloaded.
 *
 * Prompts without a split get one by the hash of their entity; where none is in `select`, a part of `fit` becomes it.
 *
 * @returns in the order of the files, each with an id and a split
 * @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE; DATA_DAMAGED (with the line) for what is not JSON, an unknown set or
 *   split, an id that comes twice; EMPTY_CLASS for a file without prompts; INVALID_ARGUMENT
 */
export async function readPrompts(
    files: string | PromptFile | readonly (string | PromptFile)[],
    options: SplitOptions = {},
): Promise<Prompt[]> {
    const list = parsed(sources, files, "files");
    const settings = parsed(splitOptions, options, "options");
    const prompts: RawPrompt[] = [];
    const places = new Map<string, string>();
    for (const { path, set, columns } of list) {
        const rows = await tableRows(path);
        if (rows.length === 0) {
            throw new SteerError("EMPTY_CLASS", `${path} holds no prompts`);
        }
        for (const row of rows) {
            const prompt = promptOf(promptProperties(row, set, columns), row.place);
            const before = places.get(prompt.id as string);
            if (before !== undefined) {
                const id = JSON.stringify(prompt.id);
                throw new SteerError("DATA_DAMAGED", `${row.place}: the id ${id} is that of ${before} too`);
            }
            places.set(prompt.id as string, row.place);
            prompts.push(prompt);
        }
    }
    return withSplits(prompts, settings);
}

function promptOf(properties: Record<string, unknown>, place: string): RawPrompt {
    const result = rawPrompt.safeParse(properties);
    if (!result.success) {
        throw new SteerError("DATA_DAMAGED", `${place}: ${issuesOf(result.error)}`);
    }
    const prompt = result.data;
    return { ...prompt, id: prompt.id ?? contentKey(prompt.set, prompt.prompt).slice(0, 16) };
}
