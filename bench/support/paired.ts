/** One timed step of one side. */
export type Step = () => Promise<void>;

export interface Row {
    case: string;
    /** Median milliseconds of a step. */
    median: number;
    /** 95 % interval of `ratio`. */
    spread: [low: number, high: number];
    /** Median over rounds of the median ratio to the baseline's step within each pair. */
    ratio: number;
}

/** What pairs of steps took: of the side measured, and its ratios to the baseline's step next to it. */
export interface Pairs {
    milliseconds: number[];
    ratios: number[];
}

/**
 * Runs two sides step by step in turn, which one goes first changing from pair to pair, so that a machine that slows
 * down slows both.
 */
export async function pair(baseline: Step, side: Step, count: number, warmUp = 10): Promise<Pairs> {
    const pairs: Pairs = { milliseconds: [], ratios: [] };
    for (let i = -warmUp; i < count; i++) {
        const before = i % 2 === 0 ? await timed(baseline) : undefined;
        const own = await timed(side);
        const other = before ?? (await timed(baseline));
        if (i >= 0) {
            pairs.milliseconds.push(own);
            pairs.ratios.push(own / other);
        }
    }
    return pairs;
}

/**
 * One row from rounds of pairs, each round with contexts of its own: where a context's memory happens to lie changes its
 * speed by some percent, which no number of pairs within one round averages out.
 */
export function summarize(name: string, rounds: readonly Pairs[]): Row {
    const { median, interval } = quantiles(rounds.map((round) => quantiles(round.ratios).median));
    const milliseconds = quantiles(rounds.flatMap((round) => round.milliseconds)).median;
    return { case: name, median: milliseconds, spread: interval, ratio: median };
}

async function timed(step: Step): Promise<number> {
    const begin = performance.now();
    await step();
    return performance.now() - begin;
}

/** The median, and its 95 % interval from order statistics: no assumption about how the values are distributed. */
export function quantiles(values: readonly number[]): { median: number; interval: [number, number] } {
    const sorted = [...values].sort((a, b) => a - b);
    const at = (rank: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(rank)))] as number;
    const middle = (sorted.length - 1) / 2;
    const reach = 0.98 * Math.sqrt(sorted.length);
    return {
        median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
        interval: [at(Math.floor(middle - reach)), at(Math.ceil(middle + reach))],
    };
}

/** A table for people. */
export function table(rows: readonly Row[]): string {
    const width = Math.max(...rows.map((row) => row.case.length));
    const lines = rows.map(
        ({ case: name, median, ratio, spread: [low, high] }) =>
            `${name.padEnd(width)}  ${median.toFixed(3).padStart(8)}  ${ratio.toFixed(3).padStart(6)}  ${low.toFixed(3)} to ${high.toFixed(3)}`,
    );
    return [`${"case".padEnd(width)}   ms/step   ratio  95 % interval of the ratio`, ...lines].join("\n");
}
