import { quantiles } from "./paired.js";

/** What one side took for one shape. */
export interface Measured {
    rows: number;
    width: number;
    side: string;
    /** How many were solved for. */
    lambdas: number;
    /** CPU time by round; NaN where the side was left out. */
    seconds: number[];
    /** That of a product of order 1024, by round; NaN where there is no NumPy. */
    gemm: number[];
    /** The largest |a - b| / |b| to our float64 factor. */
    difference?: number;
    /** What ours came from. */
    solver?: string;
    /** Ours: how much the resident memory rose at most. */
    peakBytes?: number | undefined;
}

export interface RidgeRow {
    case: string;
    /** Milliseconds. */
    median: number;
    /** 95 % interval of `ratio`. */
    spread: [low: number, high: number];
    /** Of the time to ours for as many lambdas, in the same round. */
    ratio: number;
    /** Of the time to the floor in the same round. */
    ofFloor: number;
    difference: number | undefined;
    solver: string | undefined;
    /** Of Gram matrix and factor in float64. */
    ofMemory: number | undefined;
}

export interface RidgeGoal {
    name: string;
    value: number;
    limit: number;
    met: boolean;
}

const gemmOperations = 2 * 1024 ** 3;
const order = ({ rows, width }: Measured): number => Math.min(rows, width);

function floorSeconds(each: Measured): number[] {
    const least = order(each);
    const operations = Math.max(each.rows, each.width) * least * (least + 1) + least ** 3 / 3;
    return each.gemm.map((seconds) => (operations / gemmOperations) * seconds);
}

/** Ratios of the rounds that both took part in; a side of one round meets the median of the other. */
function ratios(above: readonly number[], below: readonly number[]): { median: number; interval: [number, number] } {
    const both = above.map((seconds, i) => seconds / (below[i] as number)).filter((ratio) => !Number.isNaN(ratio));
    return both.length === 0 ? { median: Number.NaN, interval: [Number.NaN, Number.NaN] } : quantiles(both);
}

function find(all: readonly Measured[], like: Measured, side: string, lambdas: number): Measured | undefined {
    return all.find(
        (each) =>
            each.rows === like.rows && each.width === like.width && each.side === side && each.lambdas === lambdas,
    );
}

const ofMemory = (each: Measured): number | undefined =>
    each.peakBytes === undefined ? undefined : each.peakBytes / (16 * order(each) ** 2);

export function ridgeTable(all: readonly Measured[]): { rows: RidgeRow[]; text: string } {
    const rows = all.map((each): RidgeRow => {
        const own = find(all, each, "ours", each.lambdas) as Measured;
        const { median: ratio, interval: spread } = ratios(each.seconds, own.seconds);
        const timed = each.seconds.filter((seconds) => !Number.isNaN(seconds));
        const median = timed.length === 0 ? Number.NaN : quantiles(timed).median;
        return {
            case: `n=${each.rows} d=${each.width}, ${each.lambdas} λ: ${each.side}`,
            median: 1000 * median,
            spread,
            ratio,
            ofFloor: ratios(each.seconds, floorSeconds(each)).median,
            difference: each.difference,
            solver: each.solver,
            ofMemory: ofMemory(each),
        };
    });
    const width = Math.max(...rows.map((row) => row.case.length));
    const head = `${"case".padEnd(width)}        ms   / ours  95 % interval   / floor  difference  memory  solver`;
    const lines = rows.map(({ case: name, median, ratio, spread: [low, high], ...more }) => {
        const interval = `${low.toFixed(2)} to ${high.toFixed(2)}`;
        return [
            name.padEnd(width),
            median.toFixed(1).padStart(9),
            ratio.toFixed(2).padStart(7),
            interval.padStart(14),
            more.ofFloor.toFixed(2).padStart(8),
            (more.difference?.toExponential(1) ?? "").padStart(11),
            (more.ofMemory?.toFixed(2) ?? "").padStart(7),
            more.solver ?? "",
        ].join(" ");
    });
    return { rows, text: [head, ...lines].join("\n") };
}

/** A goal of every shape that has both figures. */
export function ridgeGoals(all: readonly Measured[]): RidgeGoal[] {
    const goals: RidgeGoal[] = [];
    const atMost = (name: string, value: number, limit: number): void => {
        if (!Number.isNaN(value)) {
            goals.push({ name, value, limit, met: value <= limit });
        }
    };
    const atLeast = (name: string, value: number, limit: number): void => {
        if (!Number.isNaN(value)) {
            goals.push({ name, value, limit, met: value >= limit });
        }
    };
    for (const own of all.filter((each) => each.side === "ours" && each.lambdas === 1)) {
        const shape = `n=${own.rows} d=${own.width}`;
        const time = (side: string, lambdas = 1): number[] => find(all, own, side, lambdas)?.seconds ?? [];
        if (own.rows >= own.width) {
            atMost(`${shape}: of the floor, at most`, ratios(own.seconds, floorSeconds(own)).median, 1.25);
            const factor = ratios(time("ours, float64 factor"), floorSeconds(own)).median;
            atMost(`${shape}: float64 factor, of the floor, at most`, factor, 1.25);
        }
        atLeast(`${shape}: scikit-learn, of ours, at least`, ratios(time("scikit-learn"), own.seconds).median, 1.5);
        const many = time("ours", 32);
        const limit = own.rows >= 4 * own.width ? 1.5 : 3;
        const hardest = ratios(many, time("ours, least λ of the 32")).median;
        atMost(`${shape}: 32 λ, of the least of them alone, at most`, hardest, limit);
        atMost(`${shape}: 32 λ, of λ = 1 alone, at most`, ratios(many, own.seconds).median, limit);
        for (const each of [own, find(all, own, "ours, float64 factor", 1), find(all, own, "ours", 32)]) {
            const share = each && ofMemory(each);
            if (each !== undefined && share !== undefined) {
                atMost(`${shape}, ${each.lambdas} λ, ${each.side}: memory, of matrix and factor, at most`, share, 1.2);
            }
            if (each?.difference !== undefined) {
                atMost(`${shape}, ${each.lambdas} λ, ${each.side}: difference, at most`, each.difference, 1e-8);
            }
        }
    }
    return goals;
}
