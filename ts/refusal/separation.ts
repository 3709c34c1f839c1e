/** How well numbers tell two classes, and follow scores. */
export interface ScoreSeparation {
    /** Area under the ROC curve, ties counted half; null where a class is empty. */
    auc: number | null;
    /** Pearson's correlation; null where one of the two does not vary. */
    correlation: number | null;
}

/**
 * Separation of prompts by their projections.
 *
 * @param values one for each prompt
 * @param scores the same, -1 .. 1
 * @param threshold scores above it are refusals, below its negative compliance
 */
export function separationOf(values: Float64Array, scores: readonly number[], threshold: number): ScoreSeparation {
    return { auc: areaUnderCurve(values, scores, threshold), correlation: pearson(values, scores) };
}

/** The Mann-Whitney statistic: how often a refusal lies above a compliance. */
function areaUnderCurve(values: Float64Array, scores: readonly number[], threshold: number): number | null {
    const classes = scores.map((score) => (score > threshold ? 1 : score < -threshold ? -1 : 0));
    const order = Array.from(values.keys())
        .filter((i) => classes[i] !== 0)
        .sort((a, b) => (values[a] as number) - (values[b] as number));
    let [below, pairs] = [0, 0];
    const refused = order.filter((i) => classes[i] === 1).length;
    for (let begin = 0; begin < order.length; ) {
        let end = begin;
        let [up, down] = [0, 0];
        while (end < order.length && values[order[end] as number] === values[order[begin] as number]) {
            classes[order[end++] as number] === 1 ? up++ : down++;
        }
        pairs += up * (below + down / 2);
        below += down;
        begin = end;
    }
    return refused === 0 || below === 0 ? null : pairs / (refused * below);
}

function pearson(values: Float64Array, scores: readonly number[]): number | null {
    const [meanValue, meanScore] = [mean(values), mean(scores)];
    let [both, ofValues, ofScores] = [0, 0, 0];
    values.forEach((value, i) => {
        const [a, b] = [value - meanValue, (scores[i] as number) - meanScore];
        both += a * b;
        ofValues += a * a;
        ofScores += b * b;
    });
    return ofValues > 0 && ofScores > 0 ? both / Math.sqrt(ofValues * ofScores) : null;
}

/** @internal NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
    return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}
