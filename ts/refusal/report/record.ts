import { promptSets, splits } from "../prompt.js";
import type { RunReport } from "../run-report.js";
import { type Content, type Html, html } from "./html.js";
import { counted, duration, integer, percent } from "./numbers.js";
import { bar, folded, type Section, table } from "./section.js";
import { setNames } from "./words.js";

/** Lines of a setting that stand at once. */
const lines = 12;

/** How long each stage took, and how full its batches were. */
export function times({ stages }: RunReport): Section {
    const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
    const number = (name: string) => ({ name, number: true });
    const rows = stages.map(({ name, seconds, items, found, occupancy }): Content[] => [
        name,
        duration(seconds),
        bar(total > 0 ? seconds / total : 0),
        integer(items),
        integer(found),
        percent(occupancy),
    ]);
    const columns = [
        { name: "Stage" },
        number("Time"),
        { name: "", bars: true },
        number("Items"),
        number("Found done"),
        number("Batches full"),
    ];
    const body = html`${table(columns, [...rows, ["All", duration(total), "", "", "", ""]])}
<p class="caption">Times of this and of earlier, interrupted runs. <em>Found done</em>: items that an earlier run had finished.</p>`;
    return { id: "times", title: "Time of each stage", short: "Times", body };
}

/** All that is needed to repeat the run. */
export function record(report: RunReport): Section {
    const { model, versions, settings } = report;
    const facts: [string, Content][] = [
        ["Model", model.path],
        ["Model fingerprint", html`<code>${model.fingerprint}</code>`],
        ["Architecture", `${model.architecture}, ${counted(model.layers, "layer")} × ${integer(model.hiddenSize)}`],
        ["Judge", html`<code>${report.judge}</code>`],
        ["Prompts hash", html`<code>${report.promptsHash}</code>`],
        ["Made", report.created],
        ...Object.entries(versions),
    ];
    const body = html`<div class="pair">
<div><h3>Model, data, versions</h3>${list(facts)}<h3>Prompts</h3>${promptTable(report)}</div>
<div><h3>Settings</h3>${list(Object.entries(settings).map(([name, value]) => [name, setting(value)]))}</div></div>`;
    return { id: "record", title: "What is needed to repeat it", short: "Settings", body };
}

function list(entries: readonly [string, Content][]): Html {
    return html`<dl>${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>\n`)}</dl>`;
}

function setting(value: unknown): Html {
    const text = JSON.stringify(value) ?? "undefined";
    if (text.length <= 80) {
        return html`<code>${text}</code>`;
    }
    const whole = html`<pre>${JSON.stringify(value, null, 2)}</pre>`;
    const long = JSON.stringify(value, null, 2).split("\n").length > lines || text.length > 1000;
    return long ? folded(`${integer(text.length)} characters`, whole) : whole;
}

function promptTable({ prompts }: RunReport): Html {
    return table(
        [{ name: "Set" }, ...splits.map((name) => ({ name, number: true }))],
        promptSets.map((set) => [setNames[set], ...splits.map((split) => integer(prompts[set][split]))]),
    );
}
