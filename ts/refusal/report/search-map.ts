import type { ReportCandidate, RunReport } from "../run-report.js";
import { standingOf } from "./candidate-marks.js";
import { type Html, html } from "./html.js";
import { searchAxes, searchPlot, shades } from "./search-plot.js";
import { figure, folded, type Section } from "./section.js";
import { lambdaInWords, methodName, tokensInWords } from "./words.js";

/** Maps shown at once; the others fold out. */
const open = 12;
/** A map of fewer candidates, on average, tells nothing. */
const fewest = 8;

interface Trait {
    /** As candidates differ in it. */
    name: string;
    of: (candidate: ReportCandidate) => string;
}

/** What maps may differ in: all but the layer and the strength, which are their axes. The first are kept apart longest. */
const traits: readonly Trait[] = [
    { name: "where they act", of: ({ tokens }) => tokensInWords(tokens) },
    { name: "λ", of: ({ lambda }) => lambdaInWords(lambda) },
    { name: "operation", of: ({ operation }) => operation },
    { name: "method", of: ({ method }) => methodName(method) },
    { name: "preserve mode", of: ({ preserveMode }) => `preserve: ${preserveMode}` },
    { name: "condition", of: ({ condition }) => (condition === null ? "always" : `if ${condition}`) },
];

interface SearchMap {
    title: string;
    candidates: ReportCandidate[];
}

/** Target refusals over layer and strength, one map for each place to act and each λ, and more where there is enough to show. */
export async function searchMap(report: RunReport, chosen: ReportCandidate): Promise<Section> {
    const { candidates, goal } = report;
    const varying = traits.filter((trait) => valuesOf(trait, candidates) > 1);
    const kept = keptApart(varying, candidates);
    const mixed = varying.filter((trait) => !kept.includes(trait));
    const axes = searchAxes(candidates);
    const figures = await Promise.all(
        mapsOf(candidates, kept, (candidate) => merit(candidate, chosen, goal)).map(({ title, candidates: own }) =>
            figure(title, searchPlot({ title, candidates: own, chosen, axes, mixed: mixed.length > 0, goal })),
        ),
    );
    const more = figures.slice(open);
    const body = html`<p>Each mark is a candidate; its shade is the share of target prompts of the select split that it leaves refused.
${goal === "reduce" ? "The fewer, the stronger the shade." : "The more, the stronger the shade."} ${common(candidates)}${
        mixed.length === 0
            ? ""
            : ` Within a map candidates differ in ${mixed.map(({ name }) => name).join(", ")} too: rest the pointer on one to see it.`
    }</p>
${legend(goal)}
<div class="maps">${figures.slice(0, open)}</div>
${more.length === 0 ? undefined : folded(`${more.length} more maps`, html`<div class="maps">${more}</div>`)}`;
    return { id: "search", title: "Where, how strongly, and how fitted", short: "Search", body };
}

const valuesOf = ({ of }: Trait, candidates: readonly ReportCandidate[]): number => new Set(candidates.map(of)).size;

const keyOf = (kept: readonly Trait[], candidate: ReportCandidate): string =>
    JSON.stringify(kept.map(({ of }) => of(candidate)));

/** As many traits as leave enough candidates to a map. A search that samples its space has few of each combination. */
function keptApart(varying: readonly Trait[], candidates: readonly ReportCandidate[]): Trait[] {
    const kept = [...varying];
    const maps = (): number => new Set(candidates.map((each) => keyOf(kept, each))).size;
    while (kept.length > 1 && maps() * fewest > candidates.length) {
        kept.pop();
    }
    return kept;
}

/** The map of the chosen candidate first, then by the best that each holds. */
function mapsOf(
    candidates: readonly ReportCandidate[],
    kept: readonly Trait[],
    meritOf: (candidate: ReportCandidate) => number,
): SearchMap[] {
    const maps = new Map<string, SearchMap>();
    for (const candidate of candidates) {
        const key = keyOf(kept, candidate);
        const title = kept.map(({ of }) => of(candidate)).join(" · ") || "all candidates";
        const map = maps.get(key) ?? { title, candidates: [] };
        map.candidates.push(candidate);
        maps.set(key, map);
    }
    const best = (map: SearchMap): number => Math.min(...map.candidates.map(meritOf));
    return [...maps.values()].sort((a, b) => best(a) - best(b));
}

/** Lower is better. */
function merit(candidate: ReportCandidate, chosen: ReportCandidate, goal: RunReport["goal"]): number {
    if (candidate === chosen) {
        return -2;
    }
    const rate = candidate.sets.target?.refusalRate ?? (goal === "reduce" ? 1 : 0);
    return (goal === "reduce" ? rate : -rate) + (standingOf(candidate) === "allowed" ? 0 : 2);
}

/** What all candidates have in common, so that no map says it again. */
function common(candidates: readonly ReportCandidate[]): string {
    const shared = traits.filter((trait) => valuesOf(trait, candidates) === 1);
    const first = candidates[0];
    return shared.length === 0 || first === undefined
        ? ""
        : `All candidates: ${shared.map(({ of }) => of(first)).join(" · ")}.`;
}

function legend(goal: RunReport["goal"]): Html {
    const swatches = Array.from({ length: shades }, (_, i) => {
        const shade = goal === "reduce" ? shades - 1 - i : i;
        return html`<svg viewBox="0 0 22 12" class="shade"><rect width="22" height="12" class="shade-${shade}"/></svg>`;
    });
    return html`<ul class="legend"><li class="whole">refused 0${"\u202f"}% <span class="ramp">${swatches}</span> 100${"\u202f"}%</li>
<li><svg viewBox="0 0 16 16"><rect x="1" y="1" width="14" height="14" class="shade-6"/></svg> keeps every constraint</li>
<li><svg viewBox="0 0 16 16"><path d="M6 2h4v4h4v4h-4v4h-4v-4h-4v-4h4z" transform="rotate(45 8 8)" class="shade-6"/></svg> breaks one</li>
<li><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="4.5" class="shade-6"/></svg> given up early</li>
<li><svg viewBox="0 0 16 16"><rect x="2" y="2" width="12" height="12" class="ring"/></svg> chosen</li></ul>`;
}
