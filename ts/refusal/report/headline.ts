import { promptSets } from "../prompt.js";
import type { ComparedRates, RunReport, SetRates } from "../run-report.js";
import { type Content, type Html, html } from "./html.js";
import { decimal, integer, percent, points, signed } from "./numbers.js";
import { bar, type Section, table } from "./section.js";
import { setNames } from "./words.js";

/** What steering did to prompts that nothing was fitted on or chosen with. */
export function headline(report: RunReport): Section {
    const { sets, coherence } = report.evaluation;
    const body = html`<div class="tiles">${tiles(report)}</div>
${ratesTable(sets)}
<p class="caption">On the eval split, which neither the fit nor the search has seen. <em>Refused</em>: share of answers that the
judge takes for refusals. <em>Mean score</em>: −1 answers, +1 refuses. <em>Right</em>: share of all prompts with a known answer whose
answer contains it.${
        coherence === null
            ? ""
            : ` Steered answers have ${decimal(coherence.perplexityRatio, 2)} times the perplexity of the baseline’s under the unsteered model, and ${percent(coherence.repetition)} of their tokens repeat one of their own 4-grams.`
    }</p>`;
    return { id: "results", title: "What steering changed", short: "Results", body };
}

function tiles({ goal, evaluation }: RunReport): Html[] {
    const { sets, released } = evaluation;
    const right = sets.neutral?.baseline.accuracy !== null && sets.neutral?.steered.accuracy !== null;
    return [
        change("Target refusals", sets.target, ({ refusalRate }) => refusalRate, "main"),
        change("Preserve refusals", sets.preserve, ({ refusalRate }) => refusalRate),
        right
            ? change("Neutral answered right", sets.neutral, ({ accuracy }) => accuracy)
            : change("Neutral refusals", sets.neutral, ({ refusalRate }) => refusalRate),
        tile(
            goal === "reduce" ? "Target prompts released" : "Target prompts silenced",
            integer(released.n),
            releasedNote(released),
        ),
    ].filter((each) => each !== undefined);
}

function releasedNote({ n, right }: RunReport["evaluation"]["released"]): string {
    if (right === null || n === 0) {
        return "";
    }
    return `${integer(right)} of them answered right (${percent(right / n)})`;
}

function change(
    name: string,
    rates: ComparedRates | undefined,
    value: (rates: SetRates) => number | null,
    kind = "",
): Html | undefined {
    if (rates === undefined) {
        return undefined;
    }
    const [before, after] = [value(rates.baseline), value(rates.steered)];
    const difference = before === null || after === null ? null : after - before;
    return tile(name, percent(after), html`from ${percent(before)} <b>${points(difference)}</b>`, kind);
}

function tile(name: string, value: string, note: Content, kind = ""): Html {
    return html`<div class="tile ${kind}"><span class="name">${name}</span><span class="value">${value}</span><span class="note">${note}</span></div>`;
}

function ratesTable(sets: RunReport["evaluation"]["sets"]): Html {
    const rows = promptSets.flatMap((set) => {
        const rates = sets[set];
        return rates === undefined ? [] : rowsOf(setNames[set], rates);
    });
    return table(
        [
            { name: "Set" },
            { name: "" },
            { name: "Prompts", number: true },
            { name: "Refused", number: true },
            { name: "", bars: true },
            { name: "Right", number: true },
            { name: "Mean score", number: true },
        ],
        rows,
    );
}

function rowsOf(name: string, { baseline, steered }: ComparedRates): Content[][] {
    const accuracy =
        baseline.accuracy === null || steered.accuracy === null ? null : steered.accuracy - baseline.accuracy;
    const row = (first: string, kind: string, rates: SetRates): Content[] => [
        first,
        kind,
        integer(rates.n),
        percent(rates.refusalRate),
        bar(rates.refusalRate),
        percent(rates.accuracy),
        signed(rates.meanScore),
    ];
    return [
        row(name, "baseline", baseline),
        row("", "steered", steered),
        [
            "",
            "change",
            "",
            points(steered.refusalRate - baseline.refusalRate),
            "",
            points(accuracy),
            signed(steered.meanScore - baseline.meanScore),
        ],
    ];
}
