import { promptSets } from "../prompt.js";
import type { ReportCandidate, RunReport } from "../run-report.js";
import { type Content, type Html, html } from "./html.js";
import { counted, decimal, integer, percent, short, signed } from "./numbers.js";
import { type Section, table } from "./section.js";
import {
    lambdaInWords,
    layersInWords,
    methodName,
    operationInWords,
    preserveInWords,
    setNames,
    tokensInWords,
} from "./words.js";

/** What the search chose, in words, and what it measured of it. */
export function choice(report: RunReport, chosen: ReportCandidate): Section {
    const tried = report.candidates.length;
    const allowed = report.candidates.filter(({ complete, violations }) => complete && violations.length === 0).length;
    const body = html`${sentence(report, chosen)}
${warning(chosen, allowed)}
<p>Chosen among ${counted(tried, "candidate")}, ${integer(allowed)} of which ${
        allowed === 1 ? "was" : "were"
    } measured on all prompts of the select split and kept every constraint.</p>
${measured(report, chosen)}`;
    return { id: "choice", title: "What was chosen", short: "Choice", body };
}

function sentence(report: RunReport, chosen: ReportCandidate): Html {
    const { layers, method, lambda, preserveMode, operation, strength, tokens, condition } = chosen;
    const several = layers.length > 1;
    const details: Content[] = [
        ...(lambda === null ? [] : [lambdaInWords(lambda)]),
        `preserve set: ${preserveInWords(preserveMode)}`,
    ];
    const when = condition === null ? "for every prompt" : html`under the condition <strong>${condition}</strong>`;
    const aim = report.goal === "reduce" ? "To reduce target refusals" : "To induce target refusals";
    return html`<p class="lead">${aim}, the ${methodName(method)} ${several ? "directions" : "direction"} of <strong>${
        several ? "layers" : "layer"
    } ${layersInWords(layers)}</strong> ${several ? "are" : "is"} ${operationInWords(operation)} with strength <strong>${short(strength)}</strong> on <strong>${tokensInWords(tokens)}</strong>, ${when} <span class="soft">(${details.map((each, i) => (i === 0 ? each : html`; ${each}`))})</span>.</p>`;
}

/** A choice that breaks a constraint is one for want of a better, most often. */
function warning({ violations }: ReportCandidate, allowed: number): Html | undefined {
    if (violations.length === 0) {
        return undefined;
    }
    const why = allowed === 0 ? "No candidate kept all constraints." : "The choice does not keep all constraints.";
    return html`<div class="warning"><strong>${why}</strong> It breaks: <ul>${violations.map(
        (each) => html`<li>${each}</li>`,
    )}</ul></div>`;
}

function measured({ searchBaseline }: RunReport, { sets, coherence }: ReportCandidate): Html {
    const rows = promptSets.flatMap((set): Content[][] => {
        const rates = sets[set];
        const before = searchBaseline?.[set];
        return rates === undefined
            ? []
            : [
                  [
                      setNames[set],
                      rates.n,
                      ...(searchBaseline === undefined ? [] : [percent(before?.refusalRate)]),
                      percent(rates.refusalRate),
                      percent(rates.accuracy),
                      signed(rates.meanScore),
                  ],
              ];
    });
    const columns = [
        { name: "On the select split" },
        { name: "Prompts", number: true },
        ...(searchBaseline === undefined ? [] : [{ name: "Unsteered", number: true }]),
        { name: "Refused", number: true },
        { name: "Right", number: true },
        { name: "Mean score", number: true },
    ];
    const language =
        coherence === null
            ? undefined
            : html`<p class="caption">Perplexity ratio ${decimal(coherence.perplexityRatio, 2)}, repetition ${percent(coherence.repetition)}.</p>`;
    return html`${table(columns, rows)}${language}`;
}
