import type { ReportCandidate, RunReport } from "../run-report.js";
import { html } from "./html.js";
import { counted, decimal } from "./numbers.js";
import type { Plot } from "./plot.js";
import { figure, folded, missing, type Section, table } from "./section.js";
import { lambdaInWords, layersInWords, methodName } from "./words.js";

type Fit = RunReport["fits"][number];

/** A measure of every layer, on the prompts of the fit and, where it exists, on those held out. */
interface Measure {
    title: string;
    axis: string;
    fit: (fit: Fit) => number | null;
    heldOut?: (fit: Fit) => number | null;
    /** The axis reaches at least from and to here. */
    reach: readonly [number, number];
    caption: string;
}

const measures: readonly Measure[] = [
    {
        title: "Separation",
        axis: "AUC",
        fit: ({ auc }) => auc,
        heldOut: ({ heldOutAuc }) => heldOutAuc,
        reach: [0.5, 1],
        caption:
            "How surely a refused prompt projects further along the direction than an answered one: 0.5 is chance, 1 is always.",
    },
    {
        title: "Distance of the classes",
        axis: "Cohen’s d (std. deviations)",
        fit: ({ cohensD }) => cohensD,
        reach: [0, 1],
        caption:
            "The distance of the class means along the direction, in pooled standard deviations, on the fit split.",
    },
    {
        title: "Correlation with the score",
        axis: "correlation",
        fit: ({ correlation }) => correlation,
        heldOut: ({ heldOutCorrelation }) => heldOutCorrelation,
        reach: [0, 1],
        caption: "How closely the projection follows the refusal score of each prompt.",
    },
];

/** How well the direction of each layer tells refusals from answers. */
export async function layerPlots(report: RunReport, chosen: ReportCandidate): Promise<Section> {
    const { fits } = report;
    const title = "Which layers tell refusals apart";
    const first = fits.find((fit) => nameOf(fit) === nameOf(chosen)) ?? fits[0];
    if (first === undefined) {
        return { id: "layers", title, short: "Layers", body: missing("This run fitted no directions.") };
    }
    const shown = fits.filter((fit) => nameOf(fit) === nameOf(first)).sort((a, b) => a.layer - b.layer);
    const others = fits.filter((fit) => nameOf(fit) !== nameOf(first));
    const figures = measures.map((measure) =>
        figure(measure.title, plotOf(measure, shown, others, chosen.layers), measure.caption),
    );
    const body = html`<p>Directions by ${nameOf(first)}${nameOf(first) === nameOf(chosen) ? ", the way that was chosen" : ""}.</p>
<ul class="legend"><li><svg viewBox="0 0 26 16"><path d="M1 8H25" class="line fit"/><circle cx="13" cy="8" r="3.5" class="fit"/></svg> fit split</li>
<li><svg viewBox="0 0 26 16"><path d="M1 8H25" class="line held-out"/><path d="M13 3.5L17.5 8L13 12.5L8.5 8z" class="held-out"/></svg> select split, held out from the fit</li>
${others.length === 0 ? undefined : html`<li><svg viewBox="0 0 26 16"><path d="M1 8H25" class="line other"/></svg> other ways to fit</li>`}
<li><svg viewBox="0 0 16 16"><rect x="5" y="0" width="6" height="16" class="band"/></svg> chosen ${chosen.layers.length > 1 ? "layers" : "layer"} ${layersInWords(chosen.layers)}</li></ul>
<div class="panels">${await Promise.all(figures)}</div>
${folded(`${counted(fits.length, "fit")} in figures`, fitsTable(fits))}`;
    return { id: "layers", title, short: "Layers", body };
}

type Way = Pick<Fit, "method" | "lambda" | "preserveMode">;

const nameOf = ({ method, lambda, preserveMode }: Way): string =>
    `${methodName(method)}, ${lambdaInWords(lambda)}, preserve: ${preserveMode}`;

function plotOf(measure: Measure, shown: readonly Fit[], others: readonly Fit[], layers: readonly number[]): Plot {
    const { axis, fit, heldOut, reach, title } = measure;
    const valuesOf = (list: readonly Fit[], of: (fit: Fit) => number | null, split: string) =>
        list.map((each) => ({
            layer: each.layer,
            value: of(each),
            way: nameOf(each),
            title: `layer ${each.layer}, ${split}: ${axis} ${decimal(of(each))}`,
        }));
    const rest = valuesOf(others, heldOut ?? fit, heldOut === undefined ? "fit split" : "select split");
    const own = valuesOf(shown, fit, "fit split");
    const unseen = heldOut === undefined ? [] : valuesOf(shown, heldOut, "select split");
    const found = [...rest, ...own, ...unseen].flatMap(({ value }) => (value === null ? [] : [value]));
    const all = [...new Set([...shown, ...others].map(({ layer }) => layer))];
    // A single layer would fill the whole plot.
    const room = all.length > 1 ? 0.5 : 1.5;
    const [from, to] = [Math.min(...all, ...layers) - room, Math.max(...all, ...layers) + room];
    const x = {
        field: "layer",
        type: "quantitative" as const,
        scale: { domain: [from, to], nice: false },
        axis: { title: "layer", format: "d", tickMinStep: 1, tickCount: 8 },
    };
    const y = {
        field: "value",
        type: "quantitative" as const,
        scale: { domain: [Math.min(reach[0], ...found), Math.max(reach[1], ...found)], nice: true },
        axis: { title: axis, tickCount: 5 },
    };
    const points = (values: typeof own) => ({ values: values.filter(({ value }) => value !== null) });
    const described = { x, y, description: { field: "title" } };
    // Points that would run into each other are small, and the line carries the eye.
    const size = (usual: number): number => (shown.length > 40 ? usual / 3 : usual);
    const line = { type: "line" as const, strokeWidth: 1.8 };
    return {
        label: `${title} by layer`,
        width: 320,
        height: 220,
        layers: [
            {
                name: "chosen",
                data: { values: layers.map((layer) => ({ from: layer - 0.5, to: layer + 0.5 })) },
                mark: { type: "rect", color: "var(--band)", aria: false },
                encoding: { x: { ...x, field: "from" }, x2: { field: "to" } },
            },
            {
                name: "others",
                data: { values: rest },
                mark: { ...line, strokeWidth: 1, color: "var(--axis)", aria: false },
                encoding: { x, y, detail: { field: "way" } },
            },
            {
                name: "fitLine",
                data: { values: own },
                mark: { ...line, color: "var(--soft)", aria: false },
                encoding: { x, y },
            },
            {
                name: "fit",
                data: points(own),
                mark: { type: "point", filled: true, size: size(34), opacity: 1, color: "var(--soft)" },
                encoding: described,
            },
            {
                name: "heldOutLine",
                data: { values: unseen },
                mark: { ...line, color: "var(--steered)", aria: false },
                encoding: { x, y },
            },
            {
                name: "heldOut",
                data: points(unseen),
                mark: {
                    type: "point",
                    shape: "diamond",
                    filled: true,
                    size: size(48),
                    opacity: 1,
                    color: "var(--steered)",
                },
                encoding: described,
            },
        ],
    };
}

function fitsTable(fits: readonly Fit[]) {
    const number = (name: string) => ({ name, number: true });
    return table(
        [
            { name: "Fit" },
            number("Layer"),
            number("AUC"),
            number("held out"),
            number("Cohen’s d"),
            number("Corr."),
            number("held out"),
            number("Relative gap"),
            number("Elements"),
            number("Top 1 %"),
            number("5 %"),
            number("10 %"),
        ],
        fits.map((fit) => [
            nameOf(fit),
            fit.layer,
            decimal(fit.auc),
            decimal(fit.heldOutAuc),
            decimal(fit.cohensD, 2),
            decimal(fit.correlation),
            decimal(fit.heldOutCorrelation),
            decimal(fit.relativeGap),
            decimal(fit.participation, 1),
            ...fit.topShares.map((share) => decimal(share)),
        ]),
        "Relative gap: distance of the class means along the direction over the mean norm of the rows. Elements: over how many the direction is spread (participation ratio). Top: shares of its squared length in its largest elements.",
    );
}
