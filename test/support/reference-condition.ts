/** A condition at one layer, by the book. */
export interface ReferenceCondition {
    threshold: number;
    compare: "above" | "below";
    f1: number;
    precision: number;
    recall: number;
    margin: number;
}

/** vᵀh / |v|, by |h| as well for a cosine, in plain float64 sums. */
export function referenceMeasure(row: ArrayLike<number>, v: ArrayLike<number>, cosine: boolean): number {
    let [product, rowSquares, squares] = [0, 0, 0];
    for (let i = 0; i < v.length; i++) {
        product += (row[i] as number) * (v[i] as number);
        rowSquares += (row[i] as number) ** 2;
        squares += (v[i] as number) ** 2;
    }
    const projection = product / Math.sqrt(squares);
    return cosine && rowSquares > 0 ? projection / Math.sqrt(rowSquares) : projection;
}

/** How well a condition tells two classes of values, counted one by one. */
export function judge(
    positive: readonly number[],
    negative: readonly number[],
    { threshold, compare }: { threshold: number; compare: "above" | "below" },
): { f1: number; precision: number; recall: number } {
    const holds = (value: number): boolean => (compare === "above" ? value > threshold : value < threshold);
    const right = positive.filter(holds).length;
    const wrong = negative.filter(holds).length;
    const missed = positive.length - right;
    return {
        f1: (2 * right) / (2 * right + wrong + missed),
        precision: right + wrong === 0 ? 0 : right / (right + wrong),
        recall: right / positive.length,
    };
}

/** The best of all thresholds between neighbouring values, each tried on all values. */
export function referenceCondition(
    positive: readonly number[],
    negative: readonly number[],
    sides: readonly ("above" | "below")[],
): ReferenceCondition {
    const values = [...new Set([...positive, ...negative])].sort((a, b) => a - b);
    const [lowest, highest] = [values[0] as number, values.at(-1) as number];
    let best: ReferenceCondition | undefined;
    for (let i = 1; i < values.length; i++) {
        const [low, high] = [values[i - 1] as number, values[i] as number];
        for (const compare of sides) {
            const at = { threshold: (low + high) / 2, compare };
            const margin = (high - low) / (highest - lowest);
            const tried = { ...at, ...judge(positive, negative, at), margin };
            if (best === undefined || tried.f1 > best.f1 || (tried.f1 === best.f1 && margin > best.margin)) {
                best = tried;
            }
        }
    }
    const compare = sides[0] as "above" | "below";
    return best ?? { threshold: lowest, compare, f1: 0, precision: 0, recall: 0, margin: 0 };
}
