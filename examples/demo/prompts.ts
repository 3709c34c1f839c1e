import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** A line of a prompt set: `target` refusals are to go, `preserve` refusals are to stay, `neutral` answers too. */
export interface Prompt {
    id: string;
    set: "target" | "preserve" | "neutral";
    split: "fit" | "eval";
    entity: string;
    prompt: string;
    /** Every true answer contains it. */
    key: string;
}

/** The prompts that directions are fitted on, settings chosen with, and results measured on. */
export interface Splits {
    fit: Prompt[];
    select: Prompt[];
    eval: Prompt[];
}

/** Reads JSON Lines and cuts a third of the fit entities off as `select`, by hash: no entity is in two splits. */
export function readPrompts(path: string): Splits {
    const lines = readFileSync(path, "utf8").trim().split("\n");
    const prompts = lines.map((line) => JSON.parse(line) as Prompt);
    const fit = prompts.filter((each) => each.split === "fit");
    const isSelect = (each: Prompt): boolean =>
        createHash("sha256").update(each.entity).digest().readUInt32BE() % 3 === 0;
    return {
        fit: fit.filter((each) => !isSelect(each)),
        select: fit.filter(isSelect),
        eval: prompts.filter((each) => each.split === "eval"),
    };
}
