#!/usr/bin/env node
// Draws docs/images/schedules.svg, what each kind of schedule looks like, from scheduleAt:
//
//   npm run plot-schedules [-- --check]     (--check: fails where the file is not what would be drawn)

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vega from "vega";
import { compile } from "vega-lite";
import { BuildError, displayed, main, root } from "./lib/project.mjs";
import { buildTypeScript } from "./lib/typescript.mjs";

const file = join(root, "docs", "images", "schedules.svg");
const [firstStep, lastStep] = [-5, 16];
const steps = Array.from({ length: lastStep - firstStep + 1 }, (_, i) => firstStep + i);

const ink = "#1f2937";
const soft = "#4b5563";
const colours = ["#b4451f", "#1d6fb8"];
const font = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";
const codeFont = "ui-monospace, 'DejaVu Sans Mono', monospace";

const points = [
    [-3, 0.2],
    [1, 1],
    [6, 0.4],
    [12, 0.8],
];
const thinking = { markers: ["<think>", "</think>"], inside: { kind: "ramp", from: 0.7, to: 0.3, over: 6, start: 3 } };

/**
 * One small picture each: `code` is what is drawn, `inside` the steps between markers. A line is labelled at a point of
 * its own; `jumps`: it holds its values from token to token.
 */
const panels = [
    {
        title: "constant",
        code: ['{ kind: "constant", value: 1 }', "or the number alone"],
        lines: [{ schedule: { kind: "constant", value: 1 } }],
    },
    {
        title: "window",
        code: ['{ kind: "window", value: 1,', "from: 0, to: 6 }"],
        lines: [{ jumps: true, schedule: { kind: "window", value: 1, from: 0, to: 6 } }],
    },
    {
        title: "ramp",
        code: ['{ kind: "ramp", from: 0.2, to: 1,', "over: 10, curve }"],
        lines: [
            {
                label: "linear",
                at: [0.9, 0.6],
                schedule: { kind: "ramp", from: 0.2, to: 1, over: 10, curve: "linear" },
            },
            { label: "cosine", at: [5, 0.3], schedule: { kind: "ramp", from: 0.2, to: 1, over: 10, curve: "cosine" } },
        ],
    },
    {
        title: "decay",
        code: ['{ kind: "decay", value: 1,', "halfLife: 3, floor }"],
        lines: [
            { label: "floor: 0", at: [11.5, 0.2], schedule: { kind: "decay", value: 1, halfLife: 3, floor: 0 } },
            { label: "floor: 0.4", at: [11.5, 0.57], schedule: { kind: "decay", value: 1, halfLife: 3, floor: 0.4 } },
        ],
    },
    {
        title: "piecewise",
        code: ['{ kind: "piecewise", interpolate, points:', "[[-3, 0.2], [1, 1], [6, 0.4], [12, 0.8]] }"],
        lines: [
            { label: "step", at: [2, 1.1], jumps: true, schedule: { kind: "piecewise", points, interpolate: "step" } },
            { label: "linear", at: [7.5, 0.75], schedule: { kind: "piecewise", points, interpolate: "linear" } },
        ],
    },
    {
        title: "phases",
        code: ['{ kind: "phases", prompt, generation,', "between: [{ markers, inside: a ramp }] }"],
        inside: { from: 3, to: 9 },
        lines: [{ schedule: { kind: "phases", prompt: 0.2, generation: 1, between: [thinking] } }],
    },
];

/** What is drawn at one step; a line is not joined across the borders of its phases. */
function pointAt(schedule, step, inside, scheduleAt) {
    const enclosed = inside !== undefined && step >= inside.from && step <= inside.to;
    const value = scheduleAt(schedule, step, enclosed ? 0 : undefined);
    const phase = inside === undefined ? "" : [enclosed, step <= 0, step > inside.to].join();
    return { step, value: Number(value.toFixed(6)), phase };
}

function region(from, to, color, text) {
    const data = { values: [{ from, to, text }] };
    const x = { field: "from", type: "quantitative" };
    return [
        { data, mark: { type: "rect", color }, encoding: { x, x2: { field: "to" } } },
        {
            data,
            mark: { type: "text", align: "left", baseline: "top", dx: 4, dy: 4, color: soft, fontSize: 10.5 },
            encoding: { x, y: { value: 0 }, text: { field: "text" } },
        },
    ];
}

function line({ schedule, label, at, jumps }, color, inside, scheduleAt) {
    const interpolate = jumps ? "step" : "linear";
    const text = { type: "text", align: "left", color, fontSize: 11 };
    return [
        {
            data: { values: steps.map((step) => pointAt(schedule, step, inside, scheduleAt)) },
            layer: [
                {
                    mark: { type: "line", strokeWidth: 1.3, opacity: 0.6, color, interpolate },
                    encoding: { detail: { field: "phase" } },
                },
                { mark: { type: "point", filled: true, size: 20, opacity: 1, color } },
            ],
        },
        ...(label === undefined
            ? []
            : [{ data: { values: [{ step: at[0], value: at[1] }] }, mark: { ...text, text: label } }]),
    ];
}

function panel({ title, code, lines, inside }, scheduleAt) {
    const scale = { domain: [firstStep - 0.5, lastStep + 0.5], nice: false };
    const encoding = {
        x: {
            field: "step",
            type: "quantitative",
            scale,
            title: "step",
            axis: { values: [-4, 0, 4, 8, 12, 16], grid: false },
        },
        y: {
            field: "value",
            type: "quantitative",
            scale: { domain: [0, 1.25], nice: false },
            title: "strength",
            axis: { values: [0, 0.5, 1] },
        },
    };
    return {
        title: { text: title, subtitle: code },
        width: 270,
        height: 130,
        layer: [
            ...region(firstStep - 0.5, 0.5, "#e6eaf0", "prompt"),
            ...(inside === undefined ? [] : region(inside.from - 0.5, inside.to + 0.5, "#f7ebd2", "in markers")),
            { encoding, layer: lines.flatMap((each, i) => line(each, colours[i], inside, scheduleAt)) },
        ],
    };
}

function specification(scheduleAt) {
    const drawn = panels.map((each) => panel(each, scheduleAt));
    return {
        $schema: "https://vega.github.io/schema/vega-lite/v6.json",
        background: "#ffffff",
        padding: 16,
        spacing: { row: 112, column: 60 },
        align: "none",
        bounds: "flush",
        concat: drawn,
        columns: 3,
        config: {
            aria: false,
            font,
            title: {
                anchor: "start",
                frame: "group",
                color: ink,
                fontSize: 14,
                subtitleColor: soft,
                subtitleFont: codeFont,
                subtitleFontSize: 10.5,
                subtitlePadding: 5,
                offset: 10,
            },
            axis: {
                labelColor: soft,
                titleColor: ink,
                titleFontWeight: "normal",
                labelFontSize: 11,
                titleFontSize: 11.5,
                gridColor: "#d8dee6",
                domainColor: "#8a94a3",
                tickColor: "#8a94a3",
            },
            view: { stroke: null },
        },
    };
}

/** The picture, the same bytes wherever it is drawn: text is measured by estimate, without a canvas. */
async function draw(scheduleAt) {
    const { spec } = compile(specification(scheduleAt));
    const view = new vega.View(vega.parse(spec), { renderer: "none" });
    const svg = await view.toSVG();
    view.finalize();
    // Its groups have roles for readers that want every point read out; the picture as a whole says more.
    const plain = svg.replaceAll(/ (role|aria-[a-z]+)="[^"]*"/g, "");
    const name = "The strength that each kind of schedule gives, by step";
    return `${plain.replace(/^<svg([^>]*)>/, `<svg$1 role="img" aria-label="${name}"><title>${name}</title>`)}\n`;
}

await main(async () => {
    const check = process.argv.includes("--check");
    // Tests run beside others, which read what would be compiled.
    if (!check) {
        buildTypeScript("package");
    }
    const { scheduleAt } = await import("../dist/schedule.js");
    const svg = await draw(scheduleAt);
    if (!check) {
        writeFileSync(file, svg);
        console.log(`${displayed(file)}: ${svg.length} bytes`);
    } else if (readFileSync(file, "utf8") !== svg) {
        throw new BuildError(`${displayed(file)} is not what its schedules look like. Run: npm run plot-schedules`);
    } else {
        console.log(`${displayed(file)} is current`);
    }
});
