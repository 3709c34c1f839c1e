import test from "ava";
import { type RunReport, renderReport } from "llama-steer/refusal";
import { attributeOf, elementsIn, HtmlPage, marksOf, textOf } from "./support/html-page.js";
import { type MadeReport, madeReport } from "./support/made-report.js";

/** One map of few candidates. */
const few: MadeReport = { layers: 4, tokens: ["last-prompt"], lambdas: [1], prompts: 40 };
const changed = (change: (report: RunReport) => void): RunReport => {
    const report = madeReport(few);
    change(report);
    return report;
};

const variants: [string, RunReport, (page: HtmlPage) => [string, RegExp][]][] = [
    [
        "no preserve set",
        madeReport({ ...few, sets: ["target", "neutral"] }),
        (page) => [[String(page.plots("trade-offs").length + page.plots("labels").length), /^3$/]],
    ],
    [
        "no known answers",
        madeReport({ ...few, keys: false }),
        (page) => [
            [textOf(page.section("results")), /Neutral refusals/],
            [textOf(page.section("trade-offs")), /neutral prompts answered/],
        ],
    ],
    [
        "one candidate, one layer",
        madeReport({ layers: 1, tokens: ["all"], lambdas: [null], strengths: [-0.8], hiddenSize: 1 }),
        (page) => [
            [textOf(page.section("choice")), /Chosen among 1 candidate,/],
            [textOf(page.section("record")), /qwen3, 1 layer × 1/],
        ],
    ],
    [
        "refusals induced",
        madeReport({ ...few, goal: "induce" }),
        (page) => [
            [textOf(page.section("results")), /Target prompts silenced/],
            [textOf(page.section("search")), /The more, the stronger/],
        ],
    ],
    [
        "80 layers",
        madeReport({ ...few, layers: 80 }),
        (page) => [[String(page.plots("search").flatMap((plot) => marksOf(plot, "candidates")).length), /^480$/]],
    ],
    [
        "nothing to show",
        changed((report) => {
            Object.assign(report, { fits: [], examples: [], scores: [], stages: [], settings: {}, versions: {} });
            report.cumulativeShare.shares = [];
            report.projection.points = [];
            Object.assign(report.evaluation, { sets: {}, labels: {}, coherence: null });
            report.candidates = report.candidates.slice(0, 1).map((each) => ({ ...each, sets: {}, coherence: null }));
            report.chosen = 0;
            delete report.searchBaseline;
        }),
        (page) => [
            [textOf(page.section("layers")), /fitted no directions/],
            [textOf(page.section("answers")), /no sample answers/],
            [textOf(page.section("projection")), /no projections/],
            [textOf(page.section("labels")), /no labels/],
            [textOf(page.section("dimensions")), /no direction/],
            [textOf(page.section("trade-offs")), /nothing to trade/],
            [String(page.plots("search").flatMap((plot) => marksOf(plot, "unmeasured")).length), /^1$/],
        ],
    ],
    [
        "several layers, and a choice that breaks a constraint",
        changed((report) => {
            const each = report.candidates[report.chosen];
            Object.assign(each as object, { layers: [2, 3, 4, 6], violations: ["neutral accuracy fell by 3 points"] });
        }),
        (page) => [
            [textOf(page.section("choice")), /layers 2–4, 6 are added with strength −2\.2 on the last/],
            [textOf(page.section("choice")), /choice does not keep all constraints\. It breaks: neutral accuracy fell/],
        ],
    ],
    [
        "no candidate that keeps all constraints",
        changed((report) => {
            for (const each of report.candidates) {
                each.violations = ["preserve refusals fell"];
            }
        }),
        (page) => [
            [textOf(page.section("choice")), /No candidate kept all constraints\. It breaks: preserve refusals fell/],
            [String(page.plots("trade-offs").flatMap((plot) => marksOf(plot, "front")).length), /^0$/],
        ],
    ],
    [
        "many maps, the others folded",
        madeReport({
            layers: 2,
            prompts: 20,
            lambdas: [0.01, 0.1, 1, 10, "oas", "loo", "ledoit-wolf"],
            strengths: [-1, -1.25, -1.5, -2.125],
        }),
        (page) => [
            [textOf(page.section("search")), /2 more maps/],
            [String(page.plots("search").length), /^14$/],
            [textOf(page.section("search")), /−1\.000.*−2\.125/],
        ],
    ],
];

for (const [name, report, facts] of variants) {
    test(`a report with ${name}`, async (t) => {
        const text = await renderReport(report);
        const page = new HtmlPage(text);
        t.deepEqual(page.faults, []);
        t.notRegex(text, /NaN|undefined|Infinity|\[object/);
        for (const [found, pattern] of facts(page)) {
            t.regex(found, pattern);
        }
    });
}

test("labels at the limit of two steps count in the upper one, whatever rounding makes of them", async (t) => {
    const labels = Array.from({ length: 21 }, (_, i) => (i - 10) / 10);
    const report = changed(({ evaluation }) => {
        evaluation.labels = { target: { baseline: labels, steered: [-1.5, 1.5] } };
    });
    const [plot] = new HtmlPage(await renderReport(report)).plots("labels");
    const counts = (name: string): string[] =>
        marksOf(plot as never, name).map(
            ({ title }) => /: (\d+) of .* from (\S+) to/.exec(title)?.slice(1).join(" from ") ?? "",
        );
    const steps = Array.from({ length: 20 }, (_, i) => ((i - 10) / 10).toFixed(1).replace("-", "−"));
    t.deepEqual(
        counts("baseline"),
        steps.map((from) => `${from === "0.9" ? 2 : 1} from ${from}`),
    );
    t.deepEqual(counts("steered"), ["1 from −1.0", "1 from 0.9"], "what no judge may give is at the edge");
});

test("a long answer is there to its end, and folded", async (t) => {
    const text = `a${"𝒳".repeat(5000)} and the end of it`;
    const report = changed(({ examples }) => {
        for (const each of examples) {
            each.steered.text = text;
            each.baseline.text = " \n";
        }
    });
    const page = new HtmlPage(await renderReport(report));
    const answers = page.withClass("answer").map((each) => textOf(each));
    const folds = elementsIn(page.section("answers")).filter(({ tagName }) => tagName === "details");
    t.is(folds.length, report.examples.length);
    const whole = page.withClass("answer").map((each) =>
        elementsIn(each)
            .filter((p) => attributeOf(p, "class") === "text")
            .map(textOf),
    );
    t.deepEqual(
        whole.filter((each) => each.length === 2).map(([a, b]) => `${a?.slice(0, -1)}${b}`),
        report.examples.map(() => text),
        "no character is cut in two",
    );
    t.true(answers[0]?.includes("(empty)"));
});

test("reports of large models stay small enough to open", async (t) => {
    const large = madeReport({ layers: 80, hiddenSize: 8192, prompts: 2000, tokens: ["last-prompt"], examples: 40 });
    const text = await renderReport(large);
    t.true(text.length < 2.5e6, String(text.length));
    const page = new HtmlPage(text);
    const points = page
        .plots("projection")
        .map((plot) => elementsIn(plot).filter(({ tagName }) => tagName === "title").length);
    t.deepEqual(points, [1500, 1500]);
    t.regex(textOf(page.section("projection")), /Every 4th of 6\u202f000 prompts/);
    t.true((await renderReport(madeReport())).length < 7e5);
});
