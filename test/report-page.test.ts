import { createHash } from "node:crypto";
import test from "ava";
import { type RunReport, renderReport } from "llama-steer/refusal";
import { expectCode } from "./support/expect-code.js";
import { attributeOf, elementsIn, HtmlPage, marksOf, rowsOf, textOf } from "./support/html-page.js";
import { type MadeReport, madeReport } from "./support/made-report.js";

const shown = async (report: RunReport): Promise<HtmlPage> => new HtmlPage(await renderReport(report));
const usual = madeReport();
const source = await renderReport(usual);
const page = new HtmlPage(source);
/** One map of few candidates. */
const few: MadeReport = { layers: 4, tokens: ["last-prompt"], lambdas: [1], prompts: 40 };
const changed = (change: (report: RunReport) => void, options: MadeReport = few): RunReport => {
    const report = madeReport(options);
    change(report);
    return report;
};

test("the table says what was measured", (t) => {
    const rows = rowsOf(page.section("results"));
    t.is(rows.length, 9);
    const percent = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    for (const [i, set] of (["target", "preserve", "neutral"] as const).entries()) {
        for (const [j, side] of (["baseline", "steered"] as const).entries()) {
            const rates = usual.evaluation.sets[set]?.[side];
            const [, kind, n, refused, , right, score] = rows[3 * i + j] as string[];
            t.is(kind, side);
            t.is(n, "120");
            t.is(refused, `${percent.format(100 * (rates?.refusalRate ?? -1))}\u202f%`);
            const accuracy = rates?.accuracy ?? null;
            t.is(right, accuracy === null ? "–" : `${percent.format(100 * accuracy)}\u202f%`);
            t.is(Number(score?.replace("−", "-")), Number(rates?.meanScore.toFixed(3)));
        }
    }
    t.deepEqual(rows[2]?.slice(0, 4), ["", "change", "", "−76.7\u202fpts"]);
});

test("what was chosen, released and needed is told in words", (t) => {
    const report = usual;
    t.regex(
        textOf(page.section("choice")).replace(/\s+/g, " "),
        /WRMD direction of layer 3 is added with strength −2\.2 on the last prompt token, for every prompt \(λ = 1; preserve set: its spread/,
    );
    const { n, right } = report.evaluation.released;
    t.regex(textOf(page.section("results")), new RegExp(`released${n}${right} of them answered right`));
    t.deepEqual(
        rowsOf(page.section("times")).map(([name, time, , , , full]) => [name, time, full]),
        [
            ["answers", "22.4\u202fs", "49.0\u202f%"],
            ["verdicts", "9.81\u202fs", "98.0\u202f%"],
            ["capture", "1.36\u202fs", "91.0\u202f%"],
            ["fit", "0.42\u202fs", "–"],
            ["search", "4\u202fmin 47\u202fs", "52.0\u202f%"],
            ["evaluation", "31.7\u202fs", "50.0\u202f%"],
            ["All", "5\u202fmin 53\u202fs", ""],
        ],
    );
    const record = textOf(page.section("record"));
    for (const each of [
        report.model.fingerprint,
        report.promptsHash,
        report.judge,
        ...Object.values(report.versions),
    ]) {
        t.true(record.includes(each), each);
    }
    for (const [name, value] of Object.entries(report.settings)) {
        t.true(record.includes(name));
        t.true(record.replace(/\s/g, "").includes(JSON.stringify(value).replace(/\s/g, "")), name);
    }
});

test("a page is whole by itself: no script, nothing to load, and a policy that says so", (t) => {
    t.deepEqual(page.faults, []);
    const never = ["script", "link", "img", "image", "iframe", "object", "embed", "use", "form", "base"];
    t.deepEqual(
        page.elements.filter(({ tagName }) => never.includes(tagName)),
        [],
    );
    for (const { tagName, attrs } of page.elements) {
        for (const { name, value } of attrs) {
            t.notRegex(name, /^(on|src|srcset|style$|xlink)/, tagName);
            t.true(name !== "href" || /^#[a-z-]+$/.test(value), value);
            t.notRegex(value, /https?:|url\(/i, `${tagName} ${name}`);
        }
    }
    const ids = page.elements.flatMap((each) => attributeOf(each, "id") ?? []);
    t.is(new Set(ids).size, ids.length);
    for (const link of page.named("a")) {
        t.true(ids.includes((attributeOf(link, "href") ?? "").slice(1)));
    }
    const [style, ...others] = page.named("style");
    const text = textOf(style as never);
    t.is(others.length, 0);
    t.notRegex(text, /@import|url\(|http/);
    const policy = page.named("meta").find((each) => attributeOf(each, "http-equiv") === "Content-Security-Policy");
    t.is(
        attributeOf(policy as never, "content"),
        `default-src 'none'; style-src 'sha256-${createHash("sha256").update(text).digest("base64")}'; base-uri 'none'; form-action 'none'`,
    );
});

test("every colour of a plot is one of the page, in light and in dark", (t) => {
    const style = textOf(page.named("style")[0] as never);
    const [light, dark] = [/:root\{color-scheme[^}]*\}/, /prefers-color-scheme:dark\)\{:root\{[^}]*\}/].map(
        (each) => each.exec(style)?.[0] ?? "",
    ) as [string, string];
    const colours = page.elements
        .filter((each) => attributeOf(each, "class") === "plot")
        .flatMap(elementsIn)
        .flatMap((each) => ["fill", "stroke"].flatMap((name) => attributeOf(each, name) ?? []));
    t.true(colours.length > 1000);
    for (const colour of new Set(colours)) {
        if (colour !== "none" && colour !== "transparent") {
            const name = /^var\((--[a-z0-9-]+)\)$/.exec(colour)?.[1];
            t.truthy(name, colour);
            t.true(light.includes(`${name}:`) && dark.includes(`${name}:`), colour);
        }
    }
});

const hostile = `</svg></title></style><script>alert(1)</script><img src=x onerror="alert(1)">'"&amp;<!--]]>`;

/** The same report with hostile text wherever text is free. */
function attacked(text: string): RunReport {
    return changed((report) => {
        Object.assign(report, { created: text, judge: text, promptsHash: text });
        Object.assign(report.model, { path: `models/${text}`, fingerprint: text, architecture: text });
        report.versions = { [text]: text };
        report.settings = { [text]: text, nested: { [text]: [text] } };
        for (const [i, each] of report.candidates.entries()) {
            const free = {
                method: text,
                lambda: text,
                preserveMode: text,
                operation: text,
                tokens: text,
                condition: text,
            };
            Object.assign(each, i % 2 === 0 || i === report.chosen ? free : {}, { violations: [text] });
        }
        for (const each of report.fits) {
            Object.assign(each, { method: text, lambda: text, preserveMode: text });
        }
        for (const each of report.examples) {
            each.prompt = text;
            each.question = text;
            each.baseline.text = text;
            each.steered.text = text.repeat(40);
        }
        for (const each of report.stages) {
            each.name = text;
        }
    });
}

test("text of others is text: no markup in it counts", async (t) => {
    const [page, plain] = await Promise.all([shown(attacked(hostile)), shown(attacked("harmless ".repeat(10)))]);
    t.deepEqual(page.faults, []);
    const names = (each: HtmlPage): string[] => [...new Set(each.elements.map(({ tagName }) => tagName))].sort();
    t.deepEqual(names(page), names(plain));
    t.is(page.named("script").length + page.named("img").length, 0);
    for (const id of ["choice", "search", "layers", "answers", "times", "record"]) {
        t.true(textOf(page.section(id)).includes(hostile), id);
    }
    t.is(marksOf(page.plots("search")[0] as never, "chosen").length, 1, "plots are drawn all the same");
});

test("characters that no page may hold are shown as what they are not", async (t) => {
    const page = await shown(attacked("a\0b\u0007c\ud800d\u202ee\u0085f"));
    t.deepEqual(page.faults, []);
    t.true(textOf(page.section("answers")).includes("a\ufffdb\ufffdc\ufffdd\u202ee\ufffdf"));
});

test("names that every object has are names like others", async (t) => {
    for (const name of ["constructor", "__proto__", "toString"]) {
        const page = await shown(attacked(name));
        t.true(textOf(page.section("choice")).includes(`on ${name}, under the condition ${name}`), name);
    }
});

test("the same report gives the same bytes", async (t) => {
    t.is(await renderReport(structuredClone(usual)), source);
});

test("what is no report is refused, with the key that is wrong", async (t) => {
    const wrong: [(report: RunReport) => void, RegExp][] = [
        [(report) => Object.assign(report, { version: 2 }), /version/],
        [(report) => Object.assign(report, { chosen: 192 }), /chosen: there is no candidate 192 among 24/],
        [(report) => Object.assign(report, { chosen: -1 }), /chosen/],
        [
            (report) => Object.assign(report.candidates[3] as object, { strength: Number.NaN }),
            /candidates\.3\.strength/,
        ],
        [(report) => Object.assign(report.examples[0] as object, { set: "other" }), /examples\.0\.set/],
        [(report) => Object.assign(report, { stages: undefined }), /stages/],
    ];
    for (const [change, message] of wrong) {
        await expectCode(t, "INVALID_ARGUMENT", () => renderReport(changed(change)), message);
    }
    for (const value of [undefined, null, 3, "report", []]) {
        await expectCode(t, "INVALID_ARGUMENT", () => renderReport(value as never), /^report: /);
    }
});
