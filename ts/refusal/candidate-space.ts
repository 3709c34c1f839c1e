import { z } from "zod";
import type { PresetCondition } from "../index.js";
import {
    type Candidate,
    type CandidateOperation,
    type CandidateScope,
    candidateOperations,
    candidateScopes,
} from "./candidate.js";
import type { RefusalDirections } from "./refusal-fit.js";

/** What a search chooses from. */
export const searchSpace = z.strictObject({
    operations: z
        .array(z.enum(candidateOperations))
        .min(1)
        .default([...candidateOperations]),
    scopes: z
        .array(z.enum(candidateScopes))
        .min(1)
        .default([...candidateScopes]),
    /** Layers to steer at. Default: those whose direction tells prompts it has not seen nearly as well as the best does. */
    layers: z.array(z.int().min(0)).min(1).optional(),
    /** How many neighbouring layers act together. */
    widths: z.array(z.int().min(1).max(64)).min(1).default([1, 3]),
});
export type SearchSpace = z.output<typeof searchSpace>;

/** All that candidates are made from. */
export interface CandidateSource {
    space: SearchSpace;
    directions: readonly RefusalDirections[];
    /** Under which every candidate acts; none: always. */
    condition: PresetCondition | undefined;
}

/** AUC that a layer may lack, of the best layer's. */
const tolerance = 0.05;
/** The least and the largest strength of each scope: what acts on every token adds up. */
const strengths: Readonly<Record<CandidateScope, readonly [number, number]>> = {
    "last-prompt": [0.5, 3.5],
    "last-prompt-and-generated": [0.2, 1.6],
    decaying: [0.3, 2.5],
    all: [0.2, 1.6],
};

/** Layers worth steering at, ascending. The last one is none: nothing comes after it that could react. */
export function layersToSteer({ space, directions, condition }: CandidateSource): number[] {
    const { layers } = directions[0] as RefusalDirections;
    const last = layers.at(-1)?.layer ?? 0;
    // A condition of the last prompt token is known behind the layer that is measured.
    const open = layers.filter(({ layer }) => (layer < last || last === 0) && layer > (condition?.layer ?? -1));
    if (space.layers !== undefined) {
        const allowed = new Set(space.layers);
        return open.map(({ layer }) => layer).filter((layer) => allowed.has(layer));
    }
    const quality = (at: (typeof layers)[number]): number => at.heldOut.auc ?? at.fit.auc;
    const best = Math.max(...open.map(quality));
    return open.filter((each) => quality(each) >= best - tolerance).map(({ layer }) => layer);
}

/** `width` neighbouring layers around one, as far as they are worth steering at. */
export function windowAround(layer: number, width: number, layers: readonly number[]): number[] {
    const at = layers.indexOf(layer);
    const first = Math.max(0, Math.min(at - Math.floor((width - 1) / 2), layers.length - width));
    return layers.slice(first, first + width);
}

/**
 * Candidates spread evenly over the space, by the Halton sequence: each number tries a new layer, operation, scope, fit and
 * strength at once, so that few suffice to see where it is good.
 */
export function spreadCandidates(source: CandidateSource, count: number, seed: number): Candidate[] {
    const layers = layersToSteer(source);
    const { operations, scopes, widths } = source.space;
    const pick = <Value>(list: readonly Value[], u: number): Value =>
        list[Math.min(list.length - 1, Math.floor(u * list.length))] as Value;
    return Array.from({ length: layers.length === 0 ? 0 : count }, (_, i) => {
        const [a, b, c, d, e, f] = [2, 3, 5, 7, 11, 13].map((base) => radicalInverse(i + 1 + seed * 97, base)) as [
            number,
            number,
            number,
            number,
            number,
            number,
        ];
        const scope = pick(scopes, e);
        const [least, most] = strengths[scope];
        return {
            directions: pick(source.directions, f),
            layers: windowAround(pick(layers, b), pick(widths, d), layers),
            operation: pick(operations, a),
            strength: least * (most / least) ** c,
            scope,
            condition: source.condition,
        };
    });
}

/** The digits of a number behind the point, in the other order: evenly spread in 0 .. 1. */
function radicalInverse(index: number, base: number): number {
    let [result, digit] = [0, 1 / base];
    for (let rest = index; rest > 0; rest = Math.floor(rest / base)) {
        result += (rest % base) * digit;
        digit /= base;
    }
    return result;
}

/** Candidates that differ from one in one respect. */
export function neighboursOf(candidate: Candidate, source: CandidateSource): Candidate[] {
    const layers = layersToSteer(source);
    const { operations, widths } = source.space;
    const width = candidate.layers.length;
    const centre = candidate.layers[Math.floor((width - 1) / 2)] as number;
    const at = layers.indexOf(centre);
    const beside = [layers[at - 1], layers[at + 1]].filter((each) => each !== undefined);
    return [
        ...[0.7, 0.85, 1.18, 1.4].map((factor) => ({ ...candidate, strength: candidate.strength * factor })),
        ...beside.map((layer) => ({ ...candidate, layers: windowAround(layer, width, layers) })),
        ...widths
            .filter((each) => each !== width)
            .map((each) => ({ ...candidate, layers: windowAround(centre, each, layers) })),
        ...source.directions
            .filter((each) => each !== candidate.directions)
            .map((directions) => ({ ...candidate, directions })),
        ...operations
            .filter((each: CandidateOperation) => each !== candidate.operation)
            .map((operation) => ({ ...candidate, operation })),
    ];
}

/** Every combination, for a search that leaves nothing out. */
export function allCandidates(source: CandidateSource, steps: number): Candidate[] {
    const layers = layersToSteer(source);
    const { operations, scopes, widths } = source.space;
    const windows = widths.flatMap((width) => layers.map((layer) => windowAround(layer, width, layers)));
    const distinct = [...new Map(windows.map((each) => [each.join(), each])).values()];
    return source.directions.flatMap((directions) =>
        operations.flatMap((operation) =>
            scopes.flatMap((scope) =>
                distinct.flatMap((window) => {
                    const [least, most] = strengths[scope];
                    return Array.from({ length: steps }, (_, i) => ({
                        directions,
                        layers: window,
                        operation,
                        strength: least * (most / least) ** ((i + 0.5) / steps),
                        scope,
                        condition: source.condition,
                    }));
                }),
            ),
        ),
    );
}
