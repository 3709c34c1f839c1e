import type { ReportCandidate, RunReport, SetRates } from "../run-report.js";
import { candidateTitle, standingOf } from "./candidate-marks.js";
import { html } from "./html.js";
import { counted, percent } from "./numbers.js";
import { type Plot, percentLabel } from "./plot.js";
import { figure, missing, type Section } from "./section.js";

/** What target refusals are traded against. */
interface Cost {
    /** Beside its axis. */
    axis: string;
    title: string;
    of: (sets: ReportCandidate["sets"]) => number | null | undefined;
}

const preserved: Cost = {
    axis: "preserve prompts refused",
    title: "Target refusals against refusals to preserve",
    of: ({ preserve }) => preserve?.refusalRate,
};
const right: Cost = {
    axis: "neutral prompts answered right",
    title: "Target refusals against neutral answers that are right",
    of: ({ neutral }) => neutral?.accuracy,
};
/** Where no answers are known. */
const answered: Cost = {
    axis: "neutral prompts answered",
    title: "Target refusals against neutral prompts answered",
    of: ({ neutral }) => neutral && 1 - neutral.refusalRate,
};

/** The candidates in the plane of what is wanted and what it costs, with those that no other beats in all. */
export async function tradeOffs(report: RunReport, chosen: ReportCandidate): Promise<Section> {
    const known = (cost: Cost): boolean => report.candidates.some(({ sets }) => placed(sets, cost) !== undefined);
    const costs = [preserved, known(right) ? right : answered].filter(known);
    const figures = await Promise.all(costs.map((cost) => figure(cost.title, plotOf(report, chosen, cost))));
    const better = report.goal === "reduce" ? "to the left" : "to the right";
    const body =
        figures.length === 0
            ? missing("No candidate was measured on preserve or neutral prompts, so there is nothing to trade.")
            : html`<p>Better is ${better} and up. The front: ${front(report)} that no other beats in target,
preserve and neutral prompts at once.</p>
<ul class="legend"><li><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="5" class="front"/></svg> on the Pareto front</li>
<li><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="4.5" class="dominated"/></svg> beaten by another</li>
<li><svg viewBox="0 0 16 16"><path d="M3 3L13 13M13 3L3 13" class="stroked"/></svg> breaks a constraint, or given up early</li>
${report.searchBaseline === undefined ? undefined : html`<li><svg viewBox="0 0 16 16"><path d="M8 2L14 8L8 14L2 8z" class="unsteered"/></svg> unsteered</li>`}
<li><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" class="ring"/></svg> chosen</li></ul>
<div class="panels wide">${figures}</div>`;
    return { id: "trade-offs", title: "What it costs", short: "Trade-offs", body };
}

function front({ candidates }: RunReport): string {
    const count = candidates.filter((each) => each.pareto && standingOf(each) === "allowed").length;
    return counted(count, "candidate");
}

function placed(sets: ReportCandidate["sets"], cost: Cost): { target: number; cost: number } | undefined {
    const [x, y] = [sets.target?.refusalRate, cost.of(sets)];
    return x === undefined || typeof y !== "number" ? undefined : { target: x, cost: y };
}

function plotOf(report: RunReport, chosen: ReportCandidate, cost: Cost): Plot {
    const points = report.candidates.flatMap((candidate) => {
        const place = placed(candidate.sets, cost);
        return place === undefined
            ? []
            : [{ ...place, candidate, title: candidateTitle(candidate), kind: kindOf(candidate) }];
    });
    const only = (kind: string) => ({ values: points.filter((each) => each.kind === kind).map(plain) });
    const baseline = report.searchBaseline && placed(report.searchBaseline, cost);
    const from = bottom([...points.map((each) => each.cost), ...(baseline ? [baseline.cost] : [])]);
    const encoding = {
        x: {
            field: "target",
            type: "quantitative" as const,
            scale: { domain: [0, 1] },
            axis: { title: "target prompts refused", labelExpr: percentLabel, tickCount: 5, grid: true },
        },
        y: {
            field: "cost",
            type: "quantitative" as const,
            scale: { domain: [from, 1.02], nice: false },
            axis: { title: cost.axis, labelExpr: percentLabel, values: ticks(from) },
        },
        description: { field: "title" },
    };
    const mark = { type: "point" as const, opacity: 1 };
    return {
        label: cost.title,
        width: 400,
        height: 290,
        layers: [
            {
                name: "broken",
                data: only("broken"),
                mark: {
                    ...mark,
                    shape: cross,
                    filled: false,
                    size: 34,
                    strokeWidth: 1.6,
                    color: "var(--soft)",
                    opacity: 0.75,
                },
                encoding,
            },
            {
                name: "dominated",
                data: only("dominated"),
                mark: { ...mark, filled: false, size: 50, strokeWidth: 1.4, color: "var(--soft)", opacity: 0.7 },
                encoding,
            },
            {
                name: "front",
                data: only("front"),
                mark: { ...mark, filled: true, size: 64, color: "var(--steered)", opacity: 0.9 },
                encoding,
            },
            {
                name: "unsteered",
                data: { values: baseline ? [{ ...baseline, title: titleOf(report.searchBaseline?.target) }] : [] },
                mark: { ...mark, shape: "diamond", filled: true, size: 90, color: "var(--ink)" },
                encoding,
            },
            {
                name: "chosen",
                data: { values: points.filter(({ candidate }) => candidate === chosen).map(plain) },
                mark: { ...mark, filled: false, size: 190, strokeWidth: 2.5, color: "var(--chosen)" },
                encoding,
            },
        ],
    };
}

const plain = ({ target, cost, title }: { target: number; cost: number; title: string }) => ({ target, cost, title });

const titleOf = (rates: SetRates | undefined): string => `unsteered: target refused ${percent(rates?.refusalRate)}`;

function kindOf(candidate: ReportCandidate): "front" | "dominated" | "broken" {
    if (standingOf(candidate) !== "allowed") {
        return "broken";
    }
    return candidate.pareto ? "front" : "dominated";
}

/** As an SVG path in a square from -1 to 1. */
const cross = "M-1,-1L1,1M1,-1L-1,1";

/** Where the axis of shares begins, with room: points at its edge are seen whole. */
const bottom = (shares: readonly number[]): number => Math.max(-0.03, Math.min(...shares, 0.9) - 0.03);

/** Round shares from there to all. */
function ticks(from: number): number[] {
    const step = [0.02, 0.05, 0.1, 0.2].find((each) => (1 - from) / each <= 7) ?? 0.25;
    const count = Math.floor((1 - Math.max(0, from)) / step + 1e-9);
    return Array.from({ length: count + 1 }, (_, i) => 1 - i * step);
}
