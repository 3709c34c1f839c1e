import type { ReportCandidate, RunReport } from "../run-report.js";
import { candidateTitle, type Standing, standingOf } from "./candidate-marks.js";
import type { Plot } from "./plot.js";
import { layersInWords } from "./words.js";

/** Of target refusals, in equal steps. */
export const shades = 10;
/** More strengths than these have no row each: they lie on a scale. */
const mostRows = 12;

/** What the maps of a search have in common, so that places in one compare with places in another. */
export interface SearchAxes {
    /** Names of layers and groups of layers, single ones first: the columns. */
    layers: readonly string[];
    /** From the least to the largest. */
    strengths: readonly [least: number, most: number];
}

export interface SearchPlot {
    title: string;
    candidates: readonly ReportCandidate[];
    chosen: ReportCandidate;
    axes: SearchAxes;
    /** Whether several candidates may have one layer and strength. */
    mixed: boolean;
    goal: RunReport["goal"];
}

export function searchAxes(candidates: readonly ReportCandidate[]): SearchAxes {
    const order = [...candidates].sort(
        (a, b) => a.layers.length - b.layers.length || (a.layers[0] ?? 0) - (b.layers[0] ?? 0),
    );
    const strengths = candidates.map(({ strength }) => strength);
    return {
        layers: [...new Set(order.map(({ layers }) => layersInWords(layers)))],
        strengths: [Math.min(...strengths), Math.max(...strengths)],
    };
}

/** Candidates by layer and strength, shaded by what they leave of target refusals. */
export function searchPlot({ title, candidates, chosen, axes, mixed, goal }: SearchPlot): Plot {
    const strengths = [...new Set(candidates.map(({ strength }) => strength))].sort((a, b) => b - a);
    const free = mixed || strengths.length > mostRows;
    const [column, row] = free
        ? [Math.max(16, columnStep(axes.layers.length)), 15]
        : steps(axes.layers.length, strengths.length);
    const side = Math.min(column, row);
    const values = candidates.map((candidate) => markOf(candidate, side, candidate === chosen));
    const place = { x: layerAxis(axes.layers, column), y: free ? scaleAxis(axes.strengths) : rowAxis(strengths, row) };
    return {
        label: `Target refusals by layer and strength: ${title}`,
        width: { step: column },
        height: free ? 210 : { step: row },
        layers: [
            {
                name: "unmeasured",
                data: { values: values.filter(({ rate }) => rate === undefined) },
                mark: { type: "point", shape: "circle", filled: true, size: 8, opacity: 1, color: "var(--axis)" },
                encoding: { ...place, description: { field: "title" } },
            },
            {
                name: "candidates",
                data: { values: values.filter(({ rate }) => rate !== undefined) },
                // An edge in the colour of the page keeps neighbours apart.
                mark: { type: "point", filled: true, opacity: 1, stroke: "var(--card)", strokeWidth: 1 },
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

/** Sides of the marks, as shares of a cell. */
const sizes: Record<Standing, number> = { allowed: 0.92, incomplete: 0.5, violates: 0.62 };
const shapes: Record<Standing, string> = { allowed: "square", incomplete: "circle", violates: "cross" };

function markOf(candidate: ReportCandidate, side: number, chosen: boolean) {
    const standing = standingOf(candidate);
    return {
        layer: layersInWords(candidate.layers),
        strength: candidate.strength,
        rate: candidate.sets.target?.refusalRate,
        shape: shapes[standing],
        angle: standing === "violates" ? 45 : 0,
        area: (side * sizes[standing]) ** 2,
        title: candidateTitle(candidate),
        chosen,
    };
}

/** Of a column and a row in pixels: few are large, many still seen, and cells nearly square. */
function steps(columns: number, rows: number): [column: number, row: number] {
    const column = columnStep(columns);
    const row = Math.max(9, Math.min(24, column + 6, Math.floor(300 / rows)));
    return [Math.min(column, row + 8), row];
}

const columnStep = (columns: number): number => Math.max(11, Math.min(30, Math.floor(270 / columns)));

function layerAxis(layers: readonly string[], column: number) {
    // Names of several layers are long, and stand aslant.
    const aslant = layers.some((each) => each.length > 2 && 7 * each.length > column);
    const every = Math.ceil((aslant || column >= 20 ? 14 : 28) / column);
    return {
        field: "layer",
        type: "ordinal" as const,
        scale: { domain: [...layers] },
        axis: {
            title: "layer",
            grid: false,
            labelAngle: aslant ? -45 : 0,
            labelOverlap: !aslant,
            values: layers.filter((_, i) => i % every === 0),
        },
    };
}

/** A row for each strength. */
function rowAxis(strengths: readonly number[], row: number) {
    return {
        field: "strength",
        type: "ordinal" as const,
        scale: { domain: [...strengths] },
        axis: {
            title: "strength",
            grid: false,
            labelExpr: `format(datum.value, '.${decimalsOf(strengths)}f')`,
            values: strengths.filter((_, i) => i % Math.ceil(12 / row) === 0),
        },
    };
}

/** A scale with room for all strengths: logarithmic where they have one sign, since searches try multiples. */
function scaleAxis([least, most]: SearchAxes["strengths"]) {
    const type = most < 0 || least > 0 ? ("log" as const) : ("linear" as const);
    const room = type === "log" ? (end: number, up: boolean) => end * (end > 0 === up ? 1.12 : 1 / 1.12) : undefined;
    const pad = 0.06 * (most - least || 1);
    const domain = room ? [room(least, false), room(most, true)] : [least - pad, most + pad];
    const round = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100].flatMap((each) => [-each, each]);
    const inside = round.filter((each) => each >= (domain[0] as number) && each <= (domain[1] as number));
    return {
        field: "strength",
        type: "quantitative" as const,
        scale: { type, domain, nice: false, zero: false },
        axis: {
            title: type === "log" ? "strength (log scale)" : "strength",
            grid: true,
            labelExpr: "format(datum.value, '~g')",
            ...(type === "log" && inside.length > 1 ? { values: inside.sort((a, b) => a - b) } : { tickCount: 6 }),
        },
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
