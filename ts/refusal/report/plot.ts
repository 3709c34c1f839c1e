import type { TopLevelSpec } from "vega-lite";
import { Html, html, visible } from "./html.js";

/** The marks of a plot, drawn one over the other. Each has a `name`, by which tests find it in the picture. */
export type PlotLayers = Extract<TopLevelSpec, { layer: unknown }>["layer"];

export interface Plot {
    /** What it shows, for those who do not see it. */
    label: string;
    /** Of the whole picture, in pixels; a number of pixels for each step of the axis makes it as large as it needs. */
    width: number | { step: number };
    height: number | { step: number };
    layers: PlotLayers;
}

const config: NonNullable<TopLevelSpec["config"]> = {
    font: "inherit",
    view: { stroke: null },
    // Marks that have a description carry it, and it becomes the text that is shown where a pointer rests on them.
    aria: true,
    axis: {
        labelColor: "var(--soft)",
        labelFontSize: 11,
        labelPadding: 5,
        titleColor: "var(--ink)",
        titleFontSize: 11.5,
        titleFontWeight: "normal",
        titlePadding: 8,
        gridColor: "var(--grid)",
        domainColor: "var(--axis)",
        tickColor: "var(--axis)",
        tickSize: 4,
        labelOverlap: true,
    },
    axisX: { grid: false },
};

/** Labels of an axis of shares, as the text of the page writes them. */
export const percentLabel = "format(100 * datum.value, '.0f') + '\u202f%'";

/**
 * Draws a picture as SVG within the page. Colours are the page's variables, so that it is light or dark with it, and a
 * text for each mark is in it as its title.
 */
export async function draw({ label, width, height, layers }: Plot): Promise<Html> {
    // Loaded when first drawn: programs that only fit and steer need not wait for it.
    const [vega, { compile }] = await Promise.all([import("vega"), import("vega-lite")]);
    const fits = typeof width === "number" && typeof height === "number";
    const spec: TopLevelSpec = {
        width,
        height,
        background: "transparent",
        padding: fits ? 2 : 4,
        autosize: fits ? { type: "fit", contains: "padding" } : { type: "pad" },
        layer: layers,
        config,
    };
    const silent = vega.logger(vega.None);
    const view = new vega.View(vega.parse(compile(spec, { logger: silent }).spec), {
        renderer: "none",
        logger: silent,
    });
    try {
        return inPage(await view.toSVG(), label);
    } finally {
        view.finalize();
    }
}

/** Without what a file of its own would need, and with titles of its marks instead of roles for each. */
function inPage(svg: string, label: string): Html {
    const [, width, height] = /^<svg[^>]* width="([\d.]+)" height="([\d.]+)"/.exec(svg) ?? [];
    const body = visible(svg)
        .replace(/^<svg[^>]*>/, "")
        .replaceAll(/<path class="(?:fore|back)ground"[^>]*\/>/g, "")
        .replaceAll(
            /<(path|line) aria-label="([^"]*)" role="graphics-symbol"([^>]*)\/>/g,
            "<$1$3><title>$2</title></$1>",
        )
        .replaceAll(/ (?:role|aria-[a-z]+)="[^"]*"/g, "")
        .replaceAll(/ (?:pointer-events="none"|opacity="1")/g, "")
        .replaceAll(/ transform="([^"]*)"/g, (_, value: string) => ` transform="${rounded(value)}"`);
    const open = html`<svg class="plot" role="img" aria-label="${label}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`;
    return new Html(open.source + body);
}

function rounded(transform: string): string {
    return transform.replaceAll(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (each) => String(Number(Number(each).toFixed(2))));
}
