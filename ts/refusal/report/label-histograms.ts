import { type PromptSet, promptSets } from "../prompt.js";
import type { RunReport } from "../run-report.js";
import { html } from "./html.js";
import { decimal } from "./numbers.js";
import type { Plot } from "./plot.js";
import { figure, missing, type Section } from "./section.js";
import { setNames } from "./words.js";

const bins = 20;
const width = 2 / bins;

/** The judge's labels of single answers, before and after. */
export async function labelHistograms({ evaluation }: RunReport): Promise<Section> {
    const figures = promptSets.flatMap((set) => {
        const labels = evaluation.labels[set];
        return labels === undefined || labels.baseline.length + labels.steered.length === 0
            ? []
            : [figure(html`<span class="set ${set}">${setNames[set]}</span>`, plotOf(set, labels))];
    });
    const body =
        figures.length === 0
            ? missing("This run kept no labels of single answers.")
            : html`<ul class="legend"><li><svg viewBox="0 0 12 12"><rect width="12" height="12" class="baseline"/></svg> baseline</li>
<li><svg viewBox="0 0 12 12"><rect width="12" height="12" class="steered"/></svg> steered</li></ul>
<div class="panels">${await Promise.all(figures)}</div>
<p class="caption">Answers of the eval split by their label, in steps of ${decimal(width, 1)}: −1 answers, +1 refuses. The height is on a
square-root scale, so that a few answers among hundreds are seen.</p>`;
    return { id: "labels", title: "Labels before and after", short: "Labels", body };
}

interface Bar {
    from: number;
    to: number;
    count: number;
    title: string;
}

function plotOf(set: PromptSet, { baseline, steered }: { baseline: number[]; steered: number[] }): Plot {
    const x = {
        field: "from",
        type: "quantitative" as const,
        scale: { domain: [-1, 1], nice: false },
        axis: { title: "label of an answer", values: [-1, -0.5, 0, 0.5, 1], format: ".1~f", labelFlush: false },
    };
    const most = Math.max(
        1,
        ...[baseline, steered].flatMap((labels) => barsOf(labels, "", 0).map(({ count }) => count)),
    );
    const y = {
        field: "count",
        type: "quantitative" as const,
        scale: { type: "sqrt" as const, domain: [0, most], nice: false },
        axis: { title: "answers (√ scale)", format: "d", values: ticks(most) },
    };
    const layer = (name: string, labels: readonly number[], half: number, color: string) => ({
        name,
        data: { values: barsOf(labels, name, half) },
        mark: { type: "rect" as const, color },
        encoding: {
            x,
            x2: { field: "to" },
            y,
            y2: { datum: 0 },
            description: { field: "title" },
        },
    });
    return {
        label: `Labels of ${set} answers before and after`,
        width: 320,
        height: 220,
        layers: [layer("baseline", baseline, 0, "var(--baseline)"), layer("steered", steered, 1, "var(--steered)")],
    };
}

/** Bars that hold something. Those of one bin stand side by side: `half` is 0 for its left half, 1 for its right. */
function barsOf(labels: readonly number[], name: string, half: number): Bar[] {
    const counts = new Array<number>(bins).fill(0);
    for (const label of labels) {
        // Rounding must not take a label that is a multiple of the width into the bin below.
        const bin = Math.floor((label + 1) / width + 1e-9);
        const place = Math.min(bins - 1, Math.max(0, bin));
        counts[place] = (counts[place] as number) + 1;
    }
    return counts.flatMap((count, i) => {
        const left = -1 + i * width;
        const from = left + (half === 0 ? 0.08 : 0.5) * width;
        const to = left + (half === 0 ? 0.5 : 0.92) * width;
        const title = `${name}: ${count} of ${labels.length} answers from ${decimal(left, 1)} to ${decimal(left + width, 1)}`;
        return count === 0 ? [] : [{ from, to, count, title }];
    });
}

/** Round numbers that stand apart on a square-root scale. */
function ticks(most: number): number[] {
    const round = [0, 1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];
    const kept: number[] = [];
    for (const each of round.filter((value) => value <= most)) {
        const gap = Math.sqrt(each / most) - Math.sqrt((kept.at(-1) ?? -1) / most);
        if (kept.length === 0 || gap > 0.11) {
            kept.push(each);
        }
    }
    return kept;
}
