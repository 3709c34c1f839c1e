import { basename } from "node:path";
import { SteerError } from "../../index.js";
import type { ReportCandidate, RunReport } from "../run-report.js";
import { checkedReport } from "./checked-report.js";
import { choice } from "./choice.js";
import { dimensions } from "./dimensions.js";
import { examples } from "./examples.js";
import { headline } from "./headline.js";
import { labelHistograms } from "./label-histograms.js";
import { layerPlots } from "./layer-plots.js";
import { counted, integer } from "./numbers.js";
import { page } from "./page.js";
import { projections } from "./projections.js";
import { record, times } from "./record.js";
import { searchMap } from "./search-map.js";
import type { Section } from "./section.js";
import { tradeOffs } from "./trade-offs.js";

/**
 * The report as one HTML document: tables, plots (SVG) and sample answers. It holds no script, loads nothing, is light or dark
 * as its reader's system is, and prints. The same report gives the same bytes.
 *
 * @throws SteerError INVALID_ARGUMENT for what is no report, naming the key
 */
export async function renderReport(report: RunReport): Promise<string> {
    const checked = checkedReport(report);
    if ("wrong" in checked) {
        throw new SteerError("INVALID_ARGUMENT", `report: ${checked.wrong}`);
    }
    return rendered(checked.report, checked.chosen);
}

async function rendered(report: RunReport, chosen: ReportCandidate): Promise<string> {
    const { model, created, goal } = report;
    return page({
        title: basename(model.path),
        kind: goal === "reduce" ? "Refusal Steering: fewer refusals" : "Refusal Steering: refusals induced",
        facts: `${model.architecture}, ${counted(model.layers, "layer")} × ${integer(model.hiddenSize)} · ${dateOf(created)}`,
        sections: await sectionsOf(report, chosen),
        note: "Made by llama-steer, after the Refusal Steering paper (arXiv 2512.16602). Figures rest on the labels of a language model as judge.",
    });
}

/** To the minute; what is no ISO 8601 stands as it is. */
function dateOf(created: string): string {
    const [, day, time] = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*Z$/.exec(created) ?? [];
    return day === undefined ? created : `${day} ${time} UTC`;
}

async function sectionsOf(report: RunReport, chosen: ReportCandidate): Promise<Section[]> {
    return [
        headline(report),
        choice(report, chosen),
        await searchMap(report, chosen),
        await tradeOffs(report, chosen),
        await layerPlots(report, chosen),
        await dimensions(report),
        await labelHistograms(report),
        await projections(report),
        examples(report),
        times(report),
        record(report),
    ];
}
