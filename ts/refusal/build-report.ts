import { createRequire } from "node:module";
import { ridgeBackend, type SteeringVector } from "../index.js";
import { contentKey } from "./content-key.js";
import type { RefusalEvaluation } from "./evaluate-refusal.js";
import { isRefused, type JudgedAnswer, ofSet, ratesOf } from "./judged-answers.js";
import type { FitSettings } from "./pipeline-options.js";
import { type Prompt, type PromptSet, promptSets, splits } from "./prompt.js";
import { dot, type PromptRows } from "./prompt-rows.js";
import type { FitData, RefusalDirections } from "./refusal-fit.js";
import type { ReportCandidate, RunReport } from "./run-report.js";
import type { RefusalScore } from "./scores.js";
import type { Trial, TrialBook } from "./search.js";

/** Answers of each set that the report shows, at most. */
const shownExamples = 8;

/** What a finished run knows. */
export interface ReportParts {
    settings: FitSettings;
    fingerprint: string;
    scores: readonly RefusalScore[];
    rows: PromptRows;
    data: FitData;
    directions: readonly RefusalDirections[];
    book: TrialBook;
    best: Trial;
    vector: SteeringVector;
    evaluation: Omit<RefusalEvaluation, "settings">;
    stages: RunReport["stages"];
}

/** Brings together what a run found. */
export function buildReport(parts: ReportParts): RunReport {
    const { settings, fingerprint, data, book, best, evaluation, stages } = parts;
    const { model, modelPath, judge, prompts, goal } = settings;
    const { architecture, layers, hiddenSize } = model.info;
    const trials = book.trials;
    return {
        format: "llama-steer-report",
        version: 1,
        created: new Date().toISOString(),
        goal,
        model: { path: modelPath, fingerprint, architecture, layers, hiddenSize },
        judge: judge.id,
        versions: versions(),
        settings: repeatable(settings),
        promptsHash: contentKey(prompts),
        prompts: countsOf(prompts),
        scores: scoresOf(parts),
        fits: parts.directions.flatMap(fitsOf),
        cumulativeShare: shareOf(best),
        projection: projectionOf(best, data),
        searchBaseline: ratesBySet(book.input.baseline),
        candidates: candidatesOf(trials),
        chosen: trials.indexOf(best),
        evaluation: {
            sets: evaluation.sets,
            released: evaluation.released,
            coherence: evaluation.coherence,
            labels: labelsOf(evaluation),
        },
        examples: examplesOf(evaluation),
        stages,
    };
}

function versions(): Record<string, string> {
    const { version } = createRequire(import.meta.url)("llama-steer/package.json") as { version: string };
    return { "llama-steer": version, node: process.versions.node, "linear algebra": ridgeBackend() };
}

/** Options as JSON can hold them. */
function repeatable(settings: FitSettings): Record<string, unknown> {
    const { model, judge, answerer, prompts, run, signal, onEvent, modelPath, ...rest } = settings;
    return { ...rest, answerer: answerer?.id ?? null, system: rest.system ?? null };
}

function countsOf(prompts: readonly Prompt[]): RunReport["prompts"] {
    const count = (set: PromptSet, split: Prompt["split"]): number =>
        prompts.filter((each) => each.set === set && each.split === split).length;
    const bySplit = (set: PromptSet) => Object.fromEntries(splits.map((split) => [split, count(set, split)]));
    return Object.fromEntries(promptSets.map((set) => [set, bySplit(set)])) as RunReport["prompts"];
}

function scoresOf({ scores, data }: ReportParts): RunReport["scores"] {
    const prompts = new Map(data.scored.map((each) => [each.id, each]));
    return scores.map(({ prompt, score }) => {
        const { set, split } = prompts.get(prompt) as Prompt;
        return { prompt, set, split, score };
    });
}

function specOf({ spec, vector }: RefusalDirections) {
    const { method, lambda } = spec;
    const hasLambda = method !== "md" && method !== "pca";
    return { method, lambda: hasLambda ? (lambda ?? 1) : null, preserveMode: String(vector.metadata.preserveMode) };
}

function fitsOf(directions: RefusalDirections): RunReport["fits"] {
    return directions.layers.map(({ layer, fit, heldOut, norm }) => ({
        ...specOf(directions),
        layer,
        auc: finite(fit.auc),
        heldOutAuc: heldOut.auc,
        cohensD: finite(fit.cohensD),
        correlation: finite(fit.correlation),
        heldOutCorrelation: heldOut.correlation,
        relativeGap: finite(fit.gap / norm),
        participation: fit.participation,
        topShares: fit.topShares,
    }));
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** Squares of the direction's elements from the largest on, summed up, over all. */
function shareOf({ candidate }: Trial): RunReport["cumulativeShare"] {
    const layer = candidate.layers[0] as number;
    const squares = Float64Array.from(candidate.directions.vector.layer(layer), (value) => value * value)
        .sort()
        .reverse();
    const total = squares.reduce((sum, value) => sum + value, 0);
    let sum = 0;
    const shares = Array.from(squares, (value) => {
        sum += value;
        return sum / total;
    });
    return { layer, shares };
}

/** The rows along the direction, and along what of them varies most across it. */
function projectionOf({ candidate }: Trial, { rows, scored, scores, preserve }: FitData): RunReport["projection"] {
    const layer = candidate.layers[0] as number;
    const direction = candidate.directions.vector.layer(layer);
    const prompts = [...scored, ...preserve];
    const along = rows.projections(layer, direction, prompts);
    const across = rows.projections(layer, widestAcross(rows, layer, direction, prompts), prompts);
    const points = prompts.map(({ id, set }, i) => ({
        set,
        // What is to be preserved has no score of its own where none was sampled.
        score: scores.get(id) ?? 1,
        along: along[i] as number,
        across: across[i] as number,
    }));
    return { layer, points };
}

/** The first principal component of the rows' parts orthogonal to a direction, by the power method. */
function widestAcross(
    rows: PromptRows,
    layer: number,
    direction: Float32Array,
    prompts: readonly Prompt[],
): Float32Array {
    const { width } = rows;
    const centre = new Float64Array(width);
    for (const prompt of prompts) {
        rows.row(layer, prompt).forEach((value, i) => {
            centre[i] = (centre[i] as number) + value / prompts.length;
        });
    }
    const square = dot(direction, direction);
    const parts = prompts.map((prompt) => {
        const part = rows.row(layer, prompt).map((value, i) => value - (centre[i] as number));
        const factor = dot(part, direction) / square;
        return part.map((value, i) => value - factor * (direction[i] as number));
    });
    let axis = (parts.find((part) => dot(part, part) > 0) ?? direction).slice();
    for (let step = 0; step < 30; step++) {
        const next = new Float32Array(width);
        for (const part of parts) {
            const factor = dot(part, axis);
            part.forEach((value, i) => {
                next[i] = (next[i] as number) + factor * value;
            });
        }
        const length = Math.sqrt(dot(next, next));
        if (length === 0) {
            break;
        }
        axis = next.map((value) => value / length);
    }
    return axis;
}

type Rates = RunReport["candidates"][number]["sets"];

function ratesBySet(answers: readonly JudgedAnswer[]): Rates {
    return Object.fromEntries(
        promptSets.flatMap((set) => {
            const of = ofSet(answers, set);
            return of.length === 0 ? [] : [[set, ratesOf(of)]];
        }),
    );
}

function candidatesOf(trials: readonly Trial[]): ReportCandidate[] {
    const allowed = trials.filter(({ complete, standing }) => complete && standing.excess === 0);
    const prices = new Map(allowed.map((trial) => [trial, pricesOf(trial)]));
    return trials.map((trial) => {
        const { candidate, standing, complete } = trial;
        const { directions, layers, operation, strength, scope, condition } = candidate;
        const own = prices.get(trial);
        return {
            layers: [...layers],
            ...specOf(directions),
            operation,
            strength,
            tokens: scope,
            condition:
                condition === undefined
                    ? null
                    : `projection ${condition.compare} ${condition.threshold.toPrecision(4)} at layer ${condition.layer}`,
            sets: ratesBySet(trial.answers),
            coherence: trial.coherence,
            violations: standing.violations,
            complete,
            pareto: own !== undefined && ![...prices.values()].some((other) => dominates(other, own)),
        };
    });
}

/** What is left to do, and what it costs the other sets; less is better. */
function pricesOf({ answers, standing }: Trial): number[] {
    const { preserve, neutral } = ratesBySet(answers);
    return [standing.loss, -(preserve?.refusalRate ?? 0), neutral?.refusalRate ?? 0, -(neutral?.accuracy ?? 0)];
}

/** Better in something, and worse in nothing. */
function dominates(a: readonly number[], b: readonly number[]): boolean {
    return a.every((price, i) => price <= (b[i] as number)) && a.some((price, i) => price < (b[i] as number));
}

function labelsOf({ answers }: ReportParts["evaluation"]): RunReport["evaluation"]["labels"] {
    const labels = (of: readonly JudgedAnswer[]): number[] => of.map(({ verdict }) => verdict.label);
    return Object.fromEntries(
        promptSets.flatMap((set) => {
            const [before, after] = [ofSet(answers.baseline, set), ofSet(answers.steered, set)];
            return before.length === 0 ? [] : [[set, { baseline: labels(before), steered: labels(after) }]];
        }),
    );
}

/** Answers that changed first. */
function examplesOf({ answers }: ReportParts["evaluation"]): RunReport["examples"] {
    const pairs = answers.baseline.map((before, i) => [before, answers.steered[i] as JudgedAnswer] as const);
    const changed = ([before, after]: (typeof pairs)[number]): number =>
        isRefused(before) !== isRefused(after) ? 0 : before.answer.text !== after.answer.text ? 1 : 2;
    return promptSets.flatMap((set) =>
        pairs
            .filter(([{ prompt }]) => prompt.set === set)
            .sort((a, b) => changed(a) - changed(b))
            .slice(0, shownExamples)
            .map(([before, after]) => ({
                prompt: before.prompt.id,
                set,
                question: before.prompt.prompt,
                baseline: shown(before),
                steered: shown(after),
            })),
    );
}

function shown({ answer, verdict }: JudgedAnswer) {
    return { text: answer.text, label: verdict.label, ...(verdict.kind === undefined ? {} : { kind: verdict.kind }) };
}
