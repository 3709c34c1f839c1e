import type { ReportCandidate, RunReport } from "../run-report.js";
import { candidateTitle, type Standing, standingOf } from "./candidate-marks.js";
import { type Html, html } from "./html.js";
import type { Plot } from "./plot.js";
import { figure, folded, type Section } from "./section.js";
import { lambdaInWords, layersInWords, methodName, tokensInWords } from "./words.js";

/** Maps shown at once; the others fold out. */
const open = 12;
const shades = 10;

/** What maps differ in: everything but the layer and the strength, which are their axes. */
const traits: readonly ((candidate: ReportCandidate) => string)[] = [
    ({ tokens }) => tokensInWords(tokens),
    ({ method }) => methodName(method),
    ({ lambda }) => lambdaInWords(lambda),
    ({ preserveMode }) => `preserve: ${preserveMode}`,
    ({ operation }) => operation,
    ({ condition }) => (condition === null ? "always" : `if ${condition}`),
];

interface SearchMap {
    title: string;
    candidates: ReportCandidate[];
}

/** Target refusals over layer and strength, one map for each way to fit and each place to act. */
export async function searchMap(report: RunReport, chosen: ReportCandidate): Promise<Section> {
    const { candidates, goal } = report;
    const maps = mapsOf(candidates, chosen, goal);
    const axes = axesOf(candidates);
    const figures = await Promise.all(
        maps.map(({ title, candidates: own }) => figure(title, plotOf(title, own, chosen, axes, goal))),
    );
    const more = figures.slice(open);
    const body = html`<p>Each mark is a candidate; its shade is the share of target prompts of the select split that it leaves refused.
${goal === "reduce" ? "The fewer, the stronger the shade." : "The more, the stronger the shade."} ${common(candidates)}</p>
${legend(goal)}
<div class="maps">${figures.slice(0, open)}</div>
${more.length === 0 ? undefined : folded(`${more.length} more maps`, html`<div class="maps">${more}</div>`)}`;
    return { id: "search", title: "Where, how strongly, and how fitted", short: "Search", body };
}

/** The map of the chosen candidate first, then by the best that each holds. */
function mapsOf(candidates: readonly ReportCandidate[], chosen: ReportCandidate, goal: RunReport["goal"]): SearchMap[] {
    const varying = traits.filter((trait) => new Set(candidates.map(trait)).size > 1);
    const maps = new Map<string, SearchMap>();
    for (const candidate of candidates) {
        const key = JSON.stringify(traits.map((trait) => trait(candidate)));
        const title = varying.map((trait) => trait(candidate)).join(" · ") || "all candidates";
        const map = maps.get(key) ?? { title, candidates: [] };
        map.candidates.push(candidate);
        maps.set(key, map);
    }
    const best = (map: SearchMap): number => Math.min(...map.candidates.map((each) => merit(each, chosen, goal)));
    return [...maps.values()].sort((a, b) => best(a) - best(b));
}

/** Lower is better. */
function merit(candidate: ReportCandidate, chosen: ReportCandidate, goal: RunReport["goal"]): number {
    if (candidate === chosen) {
        return -2;
    }
    const rate = candidate.sets.target?.refusalRate ?? (goal === "reduce" ? 1 : 0);
    return (goal === "reduce" ? rate : -rate) + (standingOf(candidate) === "allowed" ? 0 : 2);
}

interface Axes {
    layers: string[];
    strengths: number[];
}

function axesOf(candidates: readonly ReportCandidate[]): Axes {
    const order = [...candidates].sort(
        (a, b) => a.layers.length - b.layers.length || (a.layers[0] ?? 0) - (b.layers[0] ?? 0),
    );
    return {
        layers: [...new Set(order.map(({ layers }) => layersInWords(layers)))],
        strengths: [...new Set(candidates.map(({ strength }) => strength))].sort((a, b) => b - a),
    };
}

/** Sides of the marks, as shares of a cell. */
const sizes: Record<Standing, number> = { allowed: 0.92, incomplete: 0.5, violates: 0.62 };
const shapes: Record<Standing, string> = { allowed: "square", incomplete: "circle", violates: "cross" };

function plotOf(
    title: string,
    candidates: readonly ReportCandidate[],
    chosen: ReportCandidate,
    { layers, strengths }: Axes,
    goal: RunReport["goal"],
): Plot {
    const column = Math.max(11, Math.min(30, Math.floor(300 / layers.length)));
    const row = Math.max(9, Math.min(24, column + 6, Math.floor(300 / strengths.length)));
    const side = Math.min(column, row);
    const every = (step: number): number => Math.ceil((step < 20 ? 28 : 12) / step);
    const values = candidates.map((candidate) => {
        const rate = candidate.sets.target?.refusalRate;
        const standing = standingOf(candidate);
        return {
            layer: layersInWords(candidate.layers),
            strength: candidate.strength,
            rate,
            standing,
            shape: shapes[standing],
            angle: standing === "violates" ? 45 : 0,
            area: (side * sizes[standing]) ** 2,
            title: candidateTitle(candidate),
            chosen: candidate === chosen,
        };
    });
    const measured = values.filter(({ rate }) => rate !== undefined);
    const x = {
        field: "layer",
        type: "ordinal" as const,
        scale: { domain: layers },
        axis: {
            title: "layer",
            grid: false,
            labelAngle: 0,
            values: layers.filter((_, i) => i % every(column) === 0),
        },
    };
    const y = {
        field: "strength",
        type: "ordinal" as const,
        scale: { domain: strengths },
        axis: {
            title: "strength",
            grid: false,
            labelExpr: `format(datum.value, '.${decimalsOf(strengths)}f')`,
            values: strengths.filter((_, i) => i % Math.ceil(12 / row) === 0),
        },
    };
    const place = { x, y };
    return {
        label: `Target refusals by layer and strength: ${title}`,
        width: { step: column },
        height: { step: row },
        layers: [
            {
                name: "unmeasured",
                data: { values: values.filter(({ rate }) => rate === undefined) },
                mark: { type: "point", shape: "circle", filled: true, size: 8, opacity: 1, color: "var(--axis)" },
                encoding: { ...place, description: { field: "title" } },
            },
            {
                name: "candidates",
                data: { values: measured },
                mark: { type: "point", filled: true, opacity: 1 },
                encoding: {
                    ...place,
                    size: { field: "area", type: "quantitative", scale: null, legend: null },
                    shape: { field: "shape", type: "nominal", scale: null, legend: null },
                    angle: { field: "angle", type: "quantitative", scale: null },
                    fill: {
                        field: "rate",
                        type: "quantitative",
                        legend: null,
                        scale: { type: "threshold", domain: limits(), range: shadeNames(goal) },
                    },
                    description: { field: "title" },
                },
            },
            {
                name: "chosen",
                data: { values: values.filter((each) => each.chosen) },
                mark: {
                    type: "point",
                    shape: "square",
                    filled: false,
                    size: (side + 1) ** 2,
                    strokeWidth: 2.5,
                    opacity: 1,
                    color: "var(--chosen)",
                },
                encoding: { ...place, description: { field: "title" } },
            },
        ],
    };
}

/** As many as the strengths need, 3 at most. */
function decimalsOf(strengths: readonly number[]): number {
    const enough = (digits: number): boolean =>
        strengths.every((each) => Math.abs(each - Number(each.toFixed(digits))) < 1e-9);
    return [0, 1, 2].find(enough) ?? 3;
}

const limits = (): number[] => Array.from({ length: shades - 1 }, (_, i) => (i + 1) / shades);

/** The strongest shade for what is aimed at. */
function shadeNames(goal: RunReport["goal"]): string[] {
    const names = Array.from({ length: shades }, (_, i) => `var(--shade-${i})`);
    return goal === "reduce" ? names.reverse() : names;
}

/** What all candidates have in common, so that no map says it again. */
function common(candidates: readonly ReportCandidate[]): string {
    const shared = traits.filter((trait) => new Set(candidates.map(trait)).size === 1);
    const first = candidates[0];
    return shared.length === 0 || first === undefined
        ? ""
        : `All candidates: ${shared.map((trait) => trait(first)).join(" · ")}.`;
}

function legend(goal: RunReport["goal"]): Html {
    const swatches = Array.from({ length: shades }, (_, i) => {
        const shade = goal === "reduce" ? shades - 1 - i : i;
        return html`<svg viewBox="0 0 22 12" class="shade"><rect width="22" height="12" class="shade-${shade}"/></svg>`;
    });
    return html`<ul class="legend"><li class="whole">refused 0${"\u202f"}% <span class="ramp">${swatches}</span> 100${"\u202f"}%</li>
<li><svg viewBox="0 0 16 16"><rect x="1" y="1" width="14" height="14" class="shade-6"/></svg> keeps every constraint</li>
<li><svg viewBox="0 0 16 16"><path d="M6 2h4v4h4v4h-4v4h-4v-4h-4v-4h4z" transform="rotate(45 8 8)" class="shade-6"/></svg> breaks one</li>
<li><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="4.5" class="shade-6"/></svg> given up early</li>
<li><svg viewBox="0 0 16 16"><rect x="2" y="2" width="12" height="12" class="ring"/></svg> chosen</li></ul>`;
}
