import { fitDirection, type PresetCondition } from "../index.js";
import type { Prompt } from "./prompt.js";
import type { PromptRows } from "./prompt-rows.js";

/** A condition that tells target prompts from others at their last token, and how well it does on prompts held out. */
export interface TopicCondition {
    condition: PresetCondition;
    /** On the held-out prompts: 2·precision·recall / (precision + recall). */
    f1: number;
}

/**
 * Finds where target prompts differ most from all others (CAST, arXiv 2409.05907): along a ridge direction at each layer,
 * the threshold between the classes. The layer is chosen by prompts that were not fitted on.
 *
 * @param layers to choose from
 * @throws SteerError as {@link fitDirection}
 */
export async function findTopic(
    rows: PromptRows,
    fitted: readonly Prompt[],
    heldOut: readonly Prompt[],
    layers: readonly number[],
    signal?: AbortSignal,
): Promise<TopicCondition> {
    const { vector } = await fitDirection({
        activations: rows.of(fitted),
        layers: rows.layers,
        scores: Float32Array.from(fitted, ({ set }) => (set === "target" ? 1 : -1)),
        method: "lda",
        lambda: 1,
        ...(signal === undefined ? {} : { signal }),
    });
    const found = layers.map((layer): TopicCondition & { margin: number } => {
        const direction = vector.layer(layer);
        const threshold = thresholdBetween(rows.projections(layer, direction, fitted), fitted);
        const outside = rows.projections(layer, direction, heldOut);
        const { f1, margin } = quality(outside, heldOut, threshold);
        const measured = { layer, threshold, compare: "above", measure: "projection", decide: "last-prompt" } as const;
        return { condition: { direction: direction.slice(), ...measured }, f1, margin };
    });
    // Of equal ones that whose held-out prompts lie farthest from the threshold.
    return found.reduce((best, each) =>
        each.f1 > best.f1 || (each.f1 === best.f1 && each.margin > best.margin) ? each : best,
    );
}

const isTarget = ({ set }: Prompt): boolean => set === "target";

/** Midway between the classes' means, in units of their spreads. */
function thresholdBetween(values: Float64Array, prompts: readonly Prompt[]): number {
    const side = (target: boolean): [number, number] => {
        const of = values.filter((_, i) => isTarget(prompts[i] as Prompt) === target);
        const centre = of.reduce((sum, value) => sum + value, 0) / of.length;
        return [centre, Math.sqrt(of.reduce((sum, value) => sum + (value - centre) ** 2, 0) / of.length)];
    };
    const [[above, spreadAbove], [below, spreadBelow]] = [side(true), side(false)];
    const spread = spreadAbove + spreadBelow;
    return spread === 0 ? (above + below) / 2 : below + ((above - below) * spreadBelow) / spread;
}

function quality(values: Float64Array, prompts: readonly Prompt[], threshold: number): { f1: number; margin: number } {
    let [hit, missed, wrong] = [0, 0, 0];
    let [distance, extent] = [Number.POSITIVE_INFINITY, 0];
    prompts.forEach((prompt, i) => {
        const above = (values[i] as number) - threshold;
        const acts = above > 0;
        hit += acts && isTarget(prompt) ? 1 : 0;
        wrong += acts && !isTarget(prompt) ? 1 : 0;
        missed += !acts && isTarget(prompt) ? 1 : 0;
        distance = Math.min(distance, isTarget(prompt) ? above : -above);
        extent = Math.max(extent, Math.abs(above));
    });
    return { f1: hit === 0 ? 0 : (2 * hit) / (2 * hit + missed + wrong), margin: distance / extent };
}
