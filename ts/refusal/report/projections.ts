import { promptSets } from "../prompt.js";
import type { RunReport } from "../run-report.js";
import { html } from "./html.js";
import { integer, short, signed } from "./numbers.js";
import type { Plot, PlotLayers } from "./plot.js";
import { figure, missing, type Section } from "./section.js";
import { setNames } from "./words.js";

type Point = RunReport["projection"]["points"][number];

/** More cannot be told apart, and make the page heavy. */
const most = 1500;
const shapes = { target: "circle", preserve: "square", neutral: "triangle-up" };
/** Refused, answered, or in between: as scores are classed by default. */
const threshold = 0.1;

/** Where the sampled prompts lie along the chosen direction, and across it. */
export async function projections({ projection }: RunReport): Promise<Section> {
    const { layer, points } = projection;
    const title = "The prompts along the direction";
    if (points.length === 0) {
        return { id: "projection", title, short: "Projection", body: missing("This run kept no projections.") };
    }
    const step = Math.ceil(points.length / most);
    const shown = points.filter((_, i) => i % step === 0);
    const sets = promptSets.filter((set) => points.some((point) => point.set === set));
    const figures = [
        figure("Along and across", plotOf(shown, "across", `Prompts along and across the direction at layer ${layer}`)),
        figure("Along, and the score", plotOf(shown, "score", `Projection against refusal score at layer ${layer}`)),
    ];
    const body = html`<ul class="legend">${sets.map(
        (set) =>
            html`<li><svg viewBox="0 0 16 16"><path d="${outlines[set]}" class="${set}"/></svg> ${setNames[set]}</li>`,
    )}<li><svg viewBox="0 0 34 16"><circle cx="8" cy="8" r="5" class="full"/><circle cx="25" cy="8" r="4.5" class="hollow"/></svg> refused, not refused</li></ul>
<div class="panels wide">${await Promise.all(figures)}</div>
<p class="caption">Each mark is a prompt: its residual row at the last prompt token of layer ${layer}, projected on the direction (x) and, in the first
plot, on the widest spread across it (y). Filled marks were refused (score above ${threshold}), hollow ones not. Classes that stand
apart along x are what steering can move.${step === 1 ? "" : ` Every ${step}th of ${integer(points.length)} prompts is shown.`}</p>`;
    return { id: "projection", title, short: "Projection", body };
}

const outlines = {
    target: "M3 8a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    preserve: "M3.5 3.5h9v9h-9z",
    neutral: "M8 3L13.5 12.5h-11z",
};

function plotOf(points: readonly Point[], field: "across" | "score", label: string): Plot {
    const encoding = {
        x: {
            field: "along",
            type: "quantitative" as const,
            scale: { zero: false, nice: true, padding: 8 },
            axis: { title: "projection along the direction", grid: true, tickCount: 6 },
        },
        y: {
            field,
            type: "quantitative" as const,
            scale: field === "score" ? { domain: [-1.08, 1.08], nice: false } : { zero: false, padding: 8 },
            axis: {
                title: field === "score" ? "refusal score" : "widest spread across it",
                tickCount: 5,
                ...(field === "score" ? { values: [-1, -0.5, 0, 0.5, 1] } : {}),
            },
        },
        description: { field: "title" },
    };
    // Targets last: they are what the plot is about.
    const layers = [...promptSets].reverse().flatMap(
        (set): PlotLayers =>
            [true, false].map((refused) => ({
                name: `${set}${refused ? "Refused" : "Answered"}`,
                data: {
                    values: points
                        .filter((point) => point.set === set && point.score > threshold === refused)
                        .map((point) => ({ ...point, title: titleOf(point) })),
                },
                mark: {
                    type: "point",
                    shape: shapes[set],
                    filled: refused,
                    size: 30,
                    strokeWidth: 1.3,
                    opacity: refused ? 0.75 : 0.85,
                    color: `var(--${set})`,
                },
                encoding,
            })),
    );
    return { label, width: 400, height: 300, layers };
}

function titleOf({ set, score, along, across }: Point): string {
    return `${set}, score ${signed(score, 2)}\nalong ${short(along)}, across ${short(across)}`;
}
