import test from "ava";
import { type ReportCandidate, type RunReport, renderReport } from "llama-steer/refusal";
import { attributeOf, HtmlPage, type Mark, marksOf, textOf } from "./support/html-page.js";
import { madeReport } from "./support/made-report.js";

const report = madeReport();
const page = new HtmlPage(await renderReport(report));
const marksIn = (id: string, layer: string): Mark[] => page.plots(id).flatMap((plot) => marksOf(plot, layer));
const chosen = report.candidates[report.chosen] as ReportCandidate;

/** Two points always lie on a line. */
const several = 3;

/** Pixels that lie on a straight line over the values, to the two decimals of the picture. */
function isLinear(values: readonly number[], pixels: readonly number[]): boolean {
    const [low, high] = [values.indexOf(Math.min(...values)), values.indexOf(Math.max(...values))];
    const at = (list: readonly number[], i: number): number => list[i] as number;
    const slope = (at(pixels, high) - at(pixels, low)) / (at(values, high) - at(values, low));
    return (
        values.length < several ||
        (slope !== 0 &&
            values.every(
                (value, i) => Math.abs(at(pixels, low) + slope * (value - at(values, low)) - at(pixels, i)) < 0.05,
            ))
    );
}

test("the map of the search has every candidate, in the shade of its target refusals, and one that is chosen", (t) => {
    const marks = marksIn("search", "candidates");
    t.is(page.plots("search").length, 4, "two places to act, two values of λ");
    t.is(marks.length, report.candidates.length);
    t.is(marksIn("search", "unmeasured").length, 0);
    const rates = report.candidates.map(({ sets }) => sets.target?.refusalRate as number);
    for (let shade = 0; shade < 10; shade++) {
        // Fewer refusals are a stronger shade; a limit belongs to the shade above it.
        const [from, to] = [9 - shade, 10 - shade].map((each) => each / 10) as [number, number];
        const expected = rates.filter((rate) => rate >= from && (rate < to || to === 1)).length;
        t.is(marks.filter(({ fill }) => fill === `var(--shade-${shade})`).length, expected, `shade ${shade}`);
    }
    const ring = marksIn("search", "chosen");
    t.is(ring.length, 1);
    t.regex(ring[0]?.title ?? "", /^layer 3 · strength −2\.2 · the last prompt token/);
    const [first] = page.plots("search");
    t.is(marksOf(first as never, "chosen").length, 1, "its map is the first");
});

test("candidates stand in the column of their layer and the row of their strength", (t) => {
    for (const plot of page.plots("search")) {
        const marks = marksOf(plot, "candidates");
        const columns = [...new Set(marks.map(({ x }) => x))].sort((a, b) => a - b);
        const rows = [...new Set(marks.map(({ y }) => y))].sort((a, b) => a - b);
        t.is(columns.length, 8);
        t.is(rows.length, 6);
        for (const { x, y, title } of marks) {
            const [, layer, strength] = /^layer (\d+) · strength −([\d.]+)/.exec(title) ?? [];
            t.is(columns.indexOf(x), Number(layer), title);
            t.is(rows.indexOf(y), [0.4, 0.7, 1, 1.4, 1.8, 2.2].indexOf(Number(strength)), title);
        }
    }
});

test("what breaks a constraint, and what was given up, is told by its shape", (t) => {
    const marks = marksIn("search", "candidates");
    const shapes = (list: Mark[]): Set<string> => new Set(list.map(({ path }) => path.replace(/[\d.,-]+/g, "")));
    const broken = marks.filter(({ title }) => title.includes("breaks: preserve refusals"));
    const early = marks.filter(
        ({ title }) => title.includes("not measured on all prompts") && !title.includes("breaks"),
    );
    const allowed = marks.filter((mark) => !broken.includes(mark) && !early.includes(mark));
    t.is(broken.length, report.candidates.filter(({ violations }) => violations.length > 0).length);
    t.is(early.length, report.candidates.filter(({ complete }) => !complete).length);
    const all = [broken, early, allowed].map(shapes);
    t.true(all.every(({ size }) => size === 1));
    t.is(new Set(all.flatMap((each) => [...each])).size, 3);
});

test("candidates of a search that samples its space lie on a scale of strengths, in maps that hold enough of them", async (t) => {
    const sampled = madeReport({
        layers: 6,
        lambdas: [0.3, 1],
        strengths: [-1, -2],
        tokens: ["decaying", "all"],
        prompts: 20,
    });
    // Each has a strength and an operation of its own, as from a sequence that fills the space evenly.
    for (const [i, each] of sampled.candidates.entries()) {
        each.strength = 0.2 * 16 ** ((i * 0.618) % 1);
        each.operation = i % 2 === 0 ? "add" : "clamp";
        each.preserveMode = i % 3 === 0 ? "both" : "covariance-pooled";
        each.layers = i % 5 === 0 ? [each.layers[0] as number, (each.layers[0] as number) + 1] : each.layers;
    }
    const sampledPage = new HtmlPage(await renderReport(sampled));
    const plots = sampledPage.plots("search");
    t.is(plots.length, 4, "where they act and λ; operations apart would leave too few");
    t.regex(textOf(sampledPage.section("search")), /Within a map candidates differ in operation, preserve mode too/);
    t.regex(textOf(sampledPage.section("search")), /generated tokens, less and less · λ\s=\s1/);
    t.is(plots.flatMap((plot) => marksOf(plot, "chosen")).length, 1);
    const marks = plots.map((plot) => marksOf(plot, "candidates"));
    t.is(marks.flat().length, sampled.candidates.length);
    for (const list of marks) {
        const strengths = list.map(({ title }) => Number(/strength ([\d.]+)/.exec(title)?.[1]));
        t.true(strengths.length >= 8);
        const fit = strengths.map(Math.log);
        const [low, high] = [fit.indexOf(Math.min(...fit)), fit.indexOf(Math.max(...fit))] as [number, number];
        const y = (i: number): number => list[i]?.y as number;
        const slope = (y(high) - y(low)) / ((fit[high] as number) - (fit[low] as number));
        // Titles have three digits: 0.5 % of a strength is 0.4 pixels.
        t.true(fit.every((value, i) => Math.abs(y(low) + slope * (value - (fit[low] as number)) - y(i)) < 1));
    }
});

test("trade-offs have every candidate that was measured on both sets", (t) => {
    const standing = (each: ReportCandidate): string =>
        !each.complete || each.violations.length > 0 ? "broken" : each.pareto ? "front" : "dominated";
    const costs = [
        ({ preserve }: ReportCandidate["sets"]) => preserve?.refusalRate,
        ({ neutral }: ReportCandidate["sets"]) => neutral?.accuracy ?? undefined,
    ];
    const plots = page.plots("trade-offs");
    t.is(plots.length, 2);
    for (const [i, cost] of costs.entries()) {
        for (const name of ["broken", "front", "dominated"]) {
            const expected = report.candidates.filter(
                (each) => standing(each) === name && each.sets.target !== undefined && cost(each.sets) !== undefined,
            );
            const marks = marksOf(plots[i] as never, name);
            t.is(marks.length, expected.length, name);
            t.true(expected.length > 0, name);
            t.true(
                isLinear(
                    expected.map(({ sets }) => sets.target?.refusalRate as number),
                    marks.map(({ x }) => x),
                ),
            );
            t.true(
                isLinear(
                    expected.map(({ sets }) => cost(sets) as number),
                    marks.map(({ y }) => y),
                ),
            );
        }
        t.is(marksOf(plots[i] as never, "unsteered").length, 1);
        t.is(marksOf(plots[i] as never, "chosen").length, 1);
    }
});

test("layers have a point for each figure of the chosen way to fit, and a line for each other way", (t) => {
    const own = report.fits.filter((fit) => fit.method === "wrmd" && fit.lambda === chosen.lambda);
    t.is(own.length, 8);
    const figures: [string, (fit: RunReport["fits"][number]) => number | null][][] = [
        [
            ["fit", ({ auc }) => auc],
            ["heldOut", ({ heldOutAuc }) => heldOutAuc],
        ],
        [
            ["fit", ({ cohensD }) => cohensD],
            ["heldOut", () => null],
        ],
        [
            ["fit", ({ correlation }) => correlation],
            ["heldOut", ({ heldOutCorrelation }) => heldOutCorrelation],
        ],
    ];
    const plots = page.plots("layers");
    t.is(plots.length, 3);
    for (const [i, measures] of figures.entries()) {
        for (const [name, value] of measures) {
            const values = own.flatMap((fit) => value(fit) ?? []);
            const marks = marksOf(plots[i] as never, name);
            t.is(marks.length, values.length, `${i} ${name}`);
            t.true(
                values.length === 0 ||
                    isLinear(
                        values,
                        marks.map(({ y }) => y),
                    ),
                `${i} ${name}`,
            );
        }
        t.is(marksOf(plots[i] as never, "others").length, 2, "MD, and WRMD with the other λ");
        t.is(marksOf(plots[i] as never, "chosen").length, 1);
    }
});

test("dimensions have a point for each element, or for as many as can be told apart", async (t) => {
    const { shares } = report.cumulativeShare;
    const marks = marksIn("dimensions", "shares");
    t.is(marks.length, 128);
    t.true(
        isLinear(
            shares,
            marks.map(({ y }) => y),
        ),
    );
    t.true(
        isLinear(
            shares.map((_, i) => Math.log(i + 1)),
            marks.map(({ x }) => x),
        ),
    );

    const wide = new HtmlPage(await renderReport(madeReport({ hiddenSize: 8192 })));
    const few = wide.plots("dimensions").flatMap((plot) => marksOf(plot, "shares"));
    t.true(few.length > 100 && few.length <= 160, String(few.length));
    t.regex(few[0]?.title ?? "", /^1 largest: /);
    t.is(few.at(-1)?.title, "8192 largest: 100.0\u202f%");
});

test("histograms have a bar for each step that holds labels, and their counts are those of the labels", (t) => {
    for (const [i, set] of (["target", "preserve", "neutral"] as const).entries()) {
        for (const side of ["baseline", "steered"] as const) {
            const labels = report.evaluation.labels[set]?.[side] ?? [];
            const counts = new Map<number, number>();
            for (const label of labels) {
                const step = Math.min(19, Math.floor(Number((10 * (label + 1)).toFixed(9))));
                counts.set(step, (counts.get(step) ?? 0) + 1);
            }
            const expected = [...counts].sort(([a], [b]) => a - b).map(([, count]) => count);
            const marks = marksOf(page.plots("labels")[i] as never, side);
            t.deepEqual(
                marks.map(({ title }) => Number(/: (\d+) of 120 answers/.exec(title)?.[1])),
                expected,
                `${set} ${side}`,
            );
            const heights = marks.map(({ path }) => Number(/v(-?[\d.]+)/.exec(path)?.[1]));
            t.true(isLinear(expected.map(Math.sqrt), heights), "heights are on a square-root scale");
        }
    }
});

test("projections have every prompt, filled where it was refused", (t) => {
    const { points } = report.projection;
    const [across, score] = page.plots("projection");
    for (const [plot, value] of [
        [across, (point: (typeof points)[number]) => point.across],
        [score, (point: (typeof points)[number]) => point.score],
    ] as const) {
        for (const set of ["target", "preserve", "neutral"]) {
            for (const refused of [true, false]) {
                const expected = points.filter((each) => each.set === set && each.score > 0.1 === refused);
                const marks = marksOf(plot as never, `${set}${refused ? "Refused" : "Answered"}`);
                t.is(marks.length, expected.length, set);
                t.true(expected.length > 0, `${set} ${refused}`);
                t.true(
                    isLinear(
                        expected.map(({ along }) => along),
                        marks.map(({ x }) => x),
                    ),
                );
                t.true(
                    isLinear(
                        expected.map(value),
                        marks.map(({ y }) => y),
                    ),
                );
                t.true(marks.every(({ fill }) => (fill === `var(--${set})`) === refused));
            }
        }
    }
});

test("every plot says what it shows, and how large it is", (t) => {
    const plots = page.elements.filter((each) => attributeOf(each, "class") === "plot");
    t.is(plots.length, 4 + 2 + 3 + 1 + 3 + 2);
    for (const plot of plots) {
        t.truthy(attributeOf(plot, "aria-label"));
        t.regex(attributeOf(plot, "viewbox") ?? attributeOf(plot, "viewBox") ?? "", /^0 0 \d+(\.\d+)? \d+(\.\d+)?$/);
    }
});
