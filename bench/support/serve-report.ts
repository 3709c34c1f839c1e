import { quantiles } from "./paired.js";
import type { ServeOutcome } from "./serve-load.js";

/** Milliseconds that 50, 95 and 99 % do not exceed. */
type Latency = [p50: number, p95: number, p99: number];

/** A median over rounds, and the 95 % interval around it. */
interface Ratio {
    median: number;
    interval: [low: number, high: number];
}

export interface ServeRow {
    load: string;
    side: string;
    /** Generated, per second: the median over rounds. */
    tokensPerSecond: number;
    /** Tokens and characters of all answers of one round: equal where two sides answered the same. */
    answered: [tokens: number, characters: number];
    firstToken: Latency;
    betweenTokens: Latency;
    /** Throughput over that of node-llama-cpp, and over ours without steering, in the same round. */
    toRival?: Ratio;
    toPlain?: Ratio;
}

/** One side of a load, from all rounds. */
export function serveRow(
    load: string,
    side: string,
    outcomes: readonly ServeOutcome[],
    ratios: { toRival?: number[]; toPlain?: number[] },
): ServeRow {
    const { tokens = 0, characters = 0 } = outcomes[0] ?? {};
    return {
        load,
        side,
        tokensPerSecond: quantiles(outcomes.map((each) => each.tokens / each.seconds)).median,
        answered: [tokens, characters],
        firstToken: latency(outcomes.flatMap((each) => each.firstToken)),
        betweenTokens: latency(outcomes.flatMap((each) => each.gaps)),
        ...(ratios.toRival === undefined ? {} : { toRival: quantiles(ratios.toRival) }),
        ...(ratios.toPlain === undefined ? {} : { toPlain: quantiles(ratios.toPlain) }),
    };
}

function latency(milliseconds: readonly number[]): Latency {
    const sorted = [...milliseconds].sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
    return [at(0.5), at(0.95), at(0.99)];
}

/** A table for people, in Markdown. */
export function serveTable(rows: readonly ServeRow[]): string {
    const latencyText = (values: Latency): string => values.map((each) => each.toFixed(each < 10 ? 2 : 0)).join(" / ");
    const ratioText = (ratio: Ratio | undefined): string =>
        ratio === undefined
            ? ""
            : `${ratio.median.toFixed(2)} (${ratio.interval.map((each) => each.toFixed(2)).join(" to ")})`;
    const lines = rows.map((row) =>
        [
            row.load,
            row.side,
            row.tokensPerSecond.toFixed(0),
            ratioText(row.toRival),
            ratioText(row.toPlain),
            latencyText(row.firstToken),
            latencyText(row.betweenTokens),
        ].join(" | "),
    );
    return [
        "| load | side | tokens/s | to node-llama-cpp | to not steered | first token ms, p50 / p95 / p99 | between tokens ms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        ...lines.map((line) => `| ${line} |`),
    ].join("\n");
}
