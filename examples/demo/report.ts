import type { Prompt } from "./prompts.js";
import type { Rates } from "./scores.js";

export interface Comparison {
    baseline: Record<Prompt["set"], Rates>;
    steered: Record<Prompt["set"], Rates>;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** The result as a table for people. */
export function table({ baseline, steered }: Comparison): string {
    const header = ["set", "", "prompts", "refused", "mean score", "answered right", "of those answered, true"];
    const rows = (["target", "preserve", "neutral"] as const).flatMap((set) =>
        (
            [
                ["baseline", baseline[set]],
                ["steered", steered[set]],
            ] as const
        ).map(([name, rates], i) => [
            i === 0 ? set : "",
            name,
            String(rates.n),
            percent(rates.refusalRate),
            rates.meanScore.toFixed(3),
            percent(rates.accuracy),
            rates.refusalRate === 1 ? "-" : percent(rates.answeredTrue),
        ]),
    );
    const widths = header.map((_, column) =>
        Math.max(...[header, ...rows].map((row) => (row[column] as string).length)),
    );
    const line = (cells: string[]): string =>
        cells
            .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
            .join("  ");
    return [line(header), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}
