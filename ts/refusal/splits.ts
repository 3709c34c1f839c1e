import { SteerError } from "../index.js";
import { contentKey } from "./content-key.js";
import type { Prompt, RawPrompt, Split } from "./prompt.js";

/** How prompts without a split are given one. */
export interface SplitOptions {
    /** Another number makes another split. Default 0. */
    seed?: number | undefined;
    /** Part of the entities that is kept for `eval`. Default 0.4. */
    evalShare?: number | undefined;
    /** Part of the entities in `fit` that is cut off for `select`, where no prompt is given to it. Default 1/3. */
    selectShare?: number | undefined;
}

/** Prompts that stay together: those of an entity, or with the same words. */
interface Group {
    name: string;
    prompts: RawPrompt[];
    split: Split | undefined;
}

/**
 * Gives every prompt a split. The prompts of an entity stay together, also across sets; among entities that occur in the
 * same sets, the order of their hashes decides, so that a share is met as closely as whole entities allow.
 *
 * @throws SteerError DATA_DAMAGED where the prompts of one entity are given to different splits
 */
export function withSplits(prompts: readonly RawPrompt[], options: SplitOptions = {}): Prompt[] {
    const { seed = 0, evalShare = 0.4, selectShare = 1 / 3 } = options;
    const groups = groupsOf(prompts);
    const open = groups.filter((each) => each.split === undefined);
    divide(open, `eval:${seed}`, evalShare, "eval", "fit");
    if (!groups.some((each) => each.split === "select")) {
        const fit = groups.filter((each) => each.split === "fit");
        divide(fit, `select:${seed}`, selectShare, "select", "fit");
    }
    const splitOf = new Map(groups.flatMap((group) => group.prompts.map((each) => [each, group.split as Split])));
    return prompts.map((each) => ({ ...each, id: each.id as string, split: splitOf.get(each) as Split }));
}

const groupName = (prompt: RawPrompt): string => prompt.entity ?? prompt.prompt.trim().toLowerCase();

function groupsOf(prompts: readonly RawPrompt[]): Group[] {
    const groups = new Map<string, Group>();
    for (const prompt of prompts) {
        const name = groupName(prompt);
        const group = groups.get(name) ?? { name, prompts: [], split: undefined };
        groups.set(name, group);
        if (prompt.split !== undefined && group.split !== undefined && prompt.split !== group.split) {
            throw new SteerError(
                "DATA_DAMAGED",
                `prompt ${JSON.stringify(prompt.id)} is given to ${prompt.split}, but others of its entity ` +
                    `${JSON.stringify(name.slice(0, 60))} to ${group.split}: what is fitted on must not be measured on`,
            );
        }
        group.split ??= prompt.split;
        group.prompts.push(prompt);
    }
    return [...groups.values()];
}

/** Gives a share of the groups of every kind to one split and the rest to another; neither is left empty by rounding. */
function divide(groups: readonly Group[], salt: string, share: number, taken: Split, rest: Split): void {
    for (const stratum of bySets(groups).values()) {
        const ordered = stratum
            .map((group) => ({ group, hash: contentKey(salt, group.name) }))
            .sort((a, b) => (a.hash < b.hash ? -1 : 1));
        const whole = Math.round(share * ordered.length);
        const count = share === 0 || share === 1 ? whole : Math.min(ordered.length - 1, Math.max(1, whole));
        for (const [rank, { group }] of ordered.entries()) {
            group.split = rank < count ? taken : rest;
        }
    }
}

const setsOf = (group: Group): string => [...new Set(group.prompts.map((each) => each.set))].sort().join("+");

function bySets(groups: readonly Group[]): Map<string, Group[]> {
    const strata = new Map<string, Group[]>();
    for (const group of groups) {
        strata.set(setsOf(group), [...(strata.get(setsOf(group)) ?? []), group]);
    }
    return strata;
}
