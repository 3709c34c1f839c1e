#!/usr/bin/env node
// Draws docs/images/planted-direction.svg: how well each fit recovers a direction planted in correlated noise, against the
// number of prompts and against lambda. It computes them with fitDirection:
//
//   npm run plot-planted-direction [-- --check]     (--check: fails where the file is not what would be drawn)

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vega from "vega";
import { compile } from "vega-lite";
import { cosineWithOas } from "./lib/planted-theory.mjs";
import { BuildError, displayed, main, root } from "./lib/project.mjs";
import { buildTypeScript } from "./lib/typescript.mjs";

const file = join(root, "docs", "images", "planted-direction.svg");
const width = 128;
const confounders = 8;
const mostVariance = 100;
const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
const counts = [16, 32, 64, 128, 256, 512, 1024];
const lambdas = Array.from({ length: 19 }, (_, i) => 10 ** ((i - 9) / 3));
const samplesForLambda = 256;

const series = [
    { name: "MD", colour: "#6b7280", options: { method: "md" } },
    { name: "WRMD, λ = 1", colour: "#b4451f", options: { method: "wrmd" } },
    { name: 'WRMD, "oas"', colour: "#1d6fb8", options: { method: "wrmd", lambda: "oas" } },
    { name: 'WRMD, "loo"', colour: "#8a4fb0", options: { method: "wrmd", lambda: "loo" } },
];
const theory = { name: 'theory of "oas"', colour: "#7fb3e0" };
const colours = {
    domain: [...series, theory].map((each) => each.name),
    range: [...series, theory].map((each) => each.colour),
};
const ink = "#1f2937";
const soft = "#4b5563";
const font = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";

/** Standard normal numbers by Box and Muller, from Mulberry32. */
function gaussian(seed) {
    let state = seed;
    const uniform = () => {
        state = (state + 0x6d2b79f5) | 0;
        let t = Math.imul(state ^ (state >>> 15), 1 | state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
    return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

const dot = (a, b) => a.reduce((sum, each, i) => sum + each * b[i], 0);

function orthonormal(count, next) {
    const axes = [];
    while (axes.length < count) {
        const v = Float64Array.from({ length: width }, next);
        for (const other of [...axes, ...axes]) {
            const share = dot(v, other);
            v.forEach((each, j) => {
                v[j] = each - share * other[j];
            });
        }
        const length = Math.sqrt(dot(v, v));
        axes.push(v.map((each) => each / length));
    }
    return axes;
}

/** Scores alternate in sign; their sizes run evenly through [0.2, 1] in an order of their own. */
const scoresOf = (count) =>
    Float32Array.from({ length: count }, (_, i) => (i % 2 ? 1 : -1) * (0.2 + 0.8 * ((i * 0.6180339887498949) % 1)));

/** One layer for each seed: rows c β p + Σ s u + noise, the axes p and u drawn anew. */
function plant(count, beta) {
    const scores = scoresOf(count);
    const activations = new Float32Array(seeds.length * count * width);
    const planted = seeds.map((seed, layer) => {
        const next = gaussian(seed);
        const [p, ...axes] = orthonormal(confounders + 1, next);
        for (let i = 0; i < count; i++) {
            const row = Float64Array.from({ length: width }, (_, j) => scores[i] * beta * p[j] + next());
            axes.forEach((axis, k) => {
                const strength = Math.sqrt(mostVariance / (k + 1)) * next();
                axis.forEach((each, j) => {
                    row[j] += strength * each;
                });
            });
            activations.set(row, (layer * count + i) * width);
        }
        return p;
    });
    return { planted, problem: { activations, scores, layers: seeds.map((_, layer) => layer) } };
}

/** Rounded, so that the last digits of another linear algebra draw the same picture. */
function meanCosine({ vector }, planted) {
    const cosines = planted.map((p, layer) => {
        const v = vector.layer(layer);
        return dot(v, p) / Math.sqrt(dot(v, v));
    });
    return Math.round((1000 * cosines.reduce((sum, each) => sum + each, 0)) / cosines.length) / 1000;
}

async function againstCount(beta, fitDirection) {
    const noise = Array.from({ length: width - 1 }, (_, k) => 1 + (k < confounders ? mostVariance / (k + 1) : 0));
    const points = counts.map((x) => {
        const cosine = Math.round(1000 * cosineWithOas(x, beta, noise)) / 1000;
        return { name: theory.name, x, cosine, theory: true };
    });
    for (const count of counts) {
        const { planted, problem } = plant(count, beta);
        for (const { name, options } of series) {
            const fit = await fitDirection({ ...problem, ...options });
            points.push({ name, x: count, cosine: meanCosine(fit, planted) });
        }
    }
    return points;
}

async function againstLambda(beta, fitDirection) {
    const { planted, problem } = plant(samplesForLambda, beta);
    const fits = await fitDirection({ ...problem, lambda: lambdas });
    const md = meanCosine(await fitDirection({ ...problem, method: "md" }), planted);
    return [
        ...lambdas.map((x) => ({ name: "MD", x, cosine: md })),
        ...fits.map((fit, i) => ({ name: "WRMD, λ = 1", x: lambdas[i], cosine: meanCosine(fit, planted) })),
    ];
}

function panel(title, subtitle, values, x) {
    return {
        title: { text: title, subtitle },
        width: 270,
        height: 210,
        data: { values },
        encoding: {
            x: { field: "x", type: "quantitative", scale: { type: "log", nice: false }, ...x },
            y: {
                field: "cosine",
                type: "quantitative",
                scale: { domain: [0, 1] },
                title: "cosine with the planted direction",
            },
            color: {
                field: "name",
                type: "nominal",
                scale: colours,
                sort: null,
                legend: { title: null, orient: "bottom", columns: 5, symbolType: "stroke", labelLimit: 300 },
            },
        },
        layer: [
            { transform: [{ filter: "!datum.theory" }], mark: { type: "line", strokeWidth: 1.5 } },
            { transform: [{ filter: "!datum.theory" }], mark: { type: "point", filled: true, size: 22, opacity: 1 } },
            { transform: [{ filter: "datum.theory" }], mark: { type: "line", strokeWidth: 1.5, strokeDash: [4, 3] } },
        ],
    };
}

async function specification(fitDirection) {
    const count = { title: "prompts", axis: { values: counts, grid: false, format: "d" } };
    const lambda = {
        title: "λ, relative to tr(Σ)/d",
        axis: { values: [0.001, 0.01, 0.1, 1, 10, 100, 1000], grid: false },
    };
    return {
        $schema: "https://vega.github.io/schema/vega-lite/v6.json",
        background: "#ffffff",
        padding: 16,
        spacing: 40,
        hconcat: [
            panel("a weak direction", "length 1 per unit of score", await againstCount(1, fitDirection), count),
            panel("a strong direction", "length 3 per unit of score", await againstCount(3, fitDirection), count),
            panel(
                "against λ",
                `a weak direction, ${samplesForLambda} prompts; WRMD at each λ`,
                await againstLambda(1, fitDirection),
                lambda,
            ),
        ],
        config: {
            aria: false,
            font,
            title: { anchor: "start", frame: "group", color: ink, fontSize: 14, subtitleColor: soft, offset: 10 },
            axis: {
                labelColor: soft,
                titleColor: ink,
                titleFontWeight: "normal",
                gridColor: "#d8dee6",
                domainColor: "#8a94a3",
                tickColor: "#8a94a3",
            },
            legend: { labelColor: ink, labelFontSize: 12 },
            view: { stroke: null },
        },
    };
}

/** The picture, the same bytes wherever it is drawn: text is measured by estimate, without a canvas. */
async function draw(fitDirection) {
    const { spec } = compile(await specification(fitDirection));
    const view = new vega.View(vega.parse(spec), { renderer: "none" });
    const svg = await view.toSVG();
    view.finalize();
    const plain = svg.replaceAll(/ (role|aria-[a-z]+)="[^"]*"/g, "");
    const name = "How well fits recover a planted direction, by number of prompts and by lambda";
    return `${plain.replace(/^<svg([^>]*)>/, `<svg$1 role="img" aria-label="${name}"><title>${name}</title>`)}\n`;
}

await main(async () => {
    const check = process.argv.includes("--check");
    // Tests run beside others, which read what would be compiled.
    if (!check) {
        buildTypeScript("package");
    }
    const { fitDirection } = await import("../dist/fit-direction.js");
    const svg = await draw(fitDirection);
    if (!check) {
        writeFileSync(file, svg);
        console.log(`${displayed(file)}: ${svg.length} bytes`);
    } else if (readFileSync(file, "utf8") !== svg) {
        throw new BuildError(`${displayed(file)} is not what fits give. Run: npm run plot-planted-direction`);
    } else {
        console.log(`${displayed(file)} is current`);
    }
});
