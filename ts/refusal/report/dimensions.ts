import type { RunReport } from "../run-report.js";
import { html } from "./html.js";
import { integer, percent } from "./numbers.js";
import { type Plot, percentLabel } from "./plot.js";
import { figure, missing, type Section, table } from "./section.js";

const most = 160;

/** Over how many elements of the residual stream the chosen direction is spread. */
export async function dimensions({ cumulativeShare }: RunReport): Promise<Section> {
    const { layer, shares } = cumulativeShare;
    const title = "How the direction is spread over dimensions";
    const short = "Dimensions";
    if (shares.length === 0) {
        return { id: "dimensions", title, short, body: missing("This run has no direction to look at.") };
    }
    const half = 1 + shares.findIndex((share) => share >= 0.5);
    const sentence =
        half === 0
            ? ""
            : `${integer(half)} of its ${integer(shares.length)} elements ${half === 1 ? "holds" : "hold"} half of the squared length of the direction at layer ${layer}.`;
    const marks = [0.01, 0.05, 0.1, 0.25, 0.5].map((part) => {
        const k = Math.max(1, Math.round(part * shares.length));
        return [`${100 * part}${"\u202f"}%`, integer(k), percent(shares[k - 1])];
    });
    const caption =
        "Share of the squared length in the k largest elements, k on a logarithmic axis. The thin line is a direction whose elements are all of one size; the further above it, the fewer dimensions matter.";
    const body = html`<p>${sentence}</p><div class="panels wide">${await figure(
        `Cumulative share, layer ${layer}`,
        plotOf(shares, layer),
        caption,
    )}${table([{ name: "Largest" }, { name: "Elements", number: true }, { name: "Share", number: true }], marks)}</div>`;
    return { id: "dimensions", title, short, body };
}

function plotOf(shares: readonly number[], layer: number): Plot {
    const width = shares.length;
    const x = {
        field: "k",
        type: "quantitative" as const,
        scale: { type: "log" as const, domain: [1, Math.max(2, width)], nice: false },
        axis: {
            title: "largest elements, k (log scale)",
            values: powers(width),
            labelExpr: "replace(format(datum.value, ',d'), ',', '\u202f')",
        },
    };
    const y = {
        field: "share",
        type: "quantitative" as const,
        scale: { domain: [0, 1] },
        axis: { title: "share of squared length", labelExpr: percentLabel, tickCount: 5 },
    };
    const values = places(width).map((k) => ({
        k,
        share: shares[k - 1] as number,
        even: k / width,
        title: `${k} largest: ${percent(shares[k - 1])}`,
    }));
    return {
        label: `Cumulative share of squared length by dimension at layer ${layer}`,
        width: 400,
        height: 275,
        layers: [
            {
                name: "even",
                data: { values },
                mark: { type: "line", strokeWidth: 1.2, color: "var(--axis)", aria: false },
                encoding: { x, y: { ...y, field: "even" } },
            },
            {
                name: "line",
                data: { values },
                mark: { type: "line", strokeWidth: 2, color: "var(--steered)", aria: false },
                encoding: { x, y },
            },
            {
                name: "shares",
                data: { values },
                mark: { type: "point", filled: true, size: 14, opacity: 1, color: "var(--steered)" },
                encoding: { x, y, description: { field: "title" } },
            },
        ],
    };
}

/** 1, 10, 100 .. count. */
function powers(count: number): number[] {
    const whole = Array.from({ length: Math.floor(Math.log10(count)) + 1 }, (_, i) => 10 ** i);
    return count > 3 * (whole.at(-1) as number) ? [...whole, count] : whole;
}

/** 1 .. count, or as many of them as a picture can tell apart, evenly on a logarithmic axis. */
function places(count: number): number[] {
    const steps = Array.from({ length: most }, (_, i) => Math.round(count ** (i / (most - 1))));
    return count <= most ? Array.from({ length: count }, (_, i) => i + 1) : [...new Set(steps)];
}
