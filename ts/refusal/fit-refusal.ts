import { SteerError, type SteeringVector } from "../index.js";
import { type Answering, openAnswering } from "./answering.js";
import { buildReport } from "./build-report.js";
import { type Candidate, steeringOf } from "./candidate.js";
import { compare } from "./evaluate-refusal.js";
import type { JudgedAnswer } from "./judged-answers.js";
import { parsed, throwIfAborted } from "./parse.js";
import { type FitRefusalOptions, type FitSettings, fitOptions } from "./pipeline-options.js";
import { type Prompt, requirePrompts } from "./prompt.js";
import { PromptRows } from "./prompt-rows.js";
import { directionAt, type FitData, fitDirections, type RefusalDirections } from "./refusal-fit.js";
import type { RunReport } from "./run-report.js";
import { type RefusalScore, refusalScores, requireBothClasses } from "./scores.js";
import type { SearchInput, Trial, TrialBook } from "./search.js";
import { searchEfficiently, searchGrid } from "./search-strategies.js";
import { StageClock } from "./stage-clock.js";
import { findTopic, type TopicCondition } from "./topic-condition.js";
import { greedy, judgedAnswers } from "./trials.js";
import { Verifier } from "./verify.js";

/** What a fit ends with. */
export interface RefusalFit {
    /** With its preset: saved, its file holds all that evaluation, chat and serving need. */
    vector: SteeringVector;
    report: RunReport;
}

/**
 * The whole method, from prompts to a chosen vector: sample answers and judge them, capture the residual stream, fit
 * directions, search for where and how strongly to steer under the constraints, evaluate on the eval split if it holds
 * any prompts.
 *
 * Started again with the same arguments and run directory it ends with the same vector, bit for bit, and computes no
 * finished answer or verdict twice.
 *
 * Source: arXiv 2512.16602 (Refusal Steering); what differs, and why, is in docs/refusal-steering.md.
 *
 * @throws SteerError EMPTY_CLASS (prompts of a set or split are missing, or nothing to steer), CONSTRAINTS_UNMET,
 *   CHAT_TEMPLATE_MISSING, PROMPT_TOO_LONG, JUDGE_FAILED, ANSWERS_FAILED, MODEL_MISMATCH, OUT_OF_MEMORY, FILE_WRITE_FAILED, ABORTED, INVALID_ARGUMENT
 */
export async function fitRefusal(options: FitRefusalOptions): Promise<RefusalFit> {
    const settings = parsed(fitOptions, options, "options");
    const { prompts, goal } = settings;
    requirePrompts(prompts, ["target", "neutral"], ["fit", "select"]);
    throwIfAborted(settings.signal);
    const clock = new StageClock(settings.onEvent);
    await using answering = await openAnswering({ ...settings, onEvent: clock.onEvent }, prompts);

    const scored = scoredPrompts(prompts, goal);
    const scores = await sampledScores(answering, scored, settings, clock);
    const { rows, data } = await capturedRows(answering, scored, scores, settings, clock);
    const directions = await fittedDirections(data, settings, clock);
    const topic = await topicOf(rows, settings);

    const [select, fit] = [ofSplit(prompts, "select"), ofSplit(prompts, "fit")];
    clock.begin("baseline");
    const [baseline, fitBaseline] = (await judgedAnswers(
        answering.maker,
        [{ prompts: select }, { prompts: fit }],
        greedy,
    )) as [JudgedAnswer[], JudgedAnswer[]];
    clock.begin("searching");
    const input: SearchInput = {
        space: settings.space,
        directions,
        condition: topic?.condition,
        maker: answering.maker,
        prompts: select,
        baseline,
        goal,
        limits: settings.constraints,
        seed: settings.seed,
        onEvent: clock.onEvent,
    };
    const book = await searched(input, settings);
    const best = await new Verifier(book, fitBaseline).best(settings.rounds);

    clock.begin("evaluating");
    const vector = await finalVector(best, data, settings, answering.fingerprint);
    const evaluation = await compare(answering.maker, ofSplit(prompts, "eval"), vector, 1);
    clock.end();
    const report = buildReport({
        settings,
        fingerprint: answering.fingerprint,
        scores,
        rows,
        data,
        directions,
        book,
        best,
        vector,
        evaluation,
        stages: clock.stages,
    });
    return { vector, report };
}

const ofSplit = (prompts: readonly Prompt[], split: Prompt["split"]): Prompt[] =>
    prompts.filter((prompt) => prompt.split === split);

/**
 * Prompts whose answers decide what refusal is. What is to be preserved only shapes the direction, unless refusals are to be
 * induced: then it shows what they look like.
 */
function scoredPrompts(prompts: readonly Prompt[], goal: FitSettings["goal"]): Prompt[] {
    return prompts.filter(({ set, split }) => split !== "eval" && (goal === "induce" || set !== "preserve"));
}

async function sampledScores(
    { maker }: Answering,
    scored: readonly Prompt[],
    { samples, temperature, threshold }: FitSettings,
    clock: StageClock,
): Promise<RefusalScore[]> {
    clock.begin("sampling");
    const [judged] = (await judgedAnswers(maker, [{ prompts: scored }], { samples, temperature })) as [JudgedAnswer[]];
    const scores = refusalScores(
        judged.map(({ answer, verdict }) => ({ ...answer, label: verdict.label })),
        { threshold },
    );
    const fit = new Set(scored.filter(({ split }) => split === "fit").map(({ id }) => id));
    requireBothClasses(scores.filter(({ prompt }) => fit.has(prompt)));
    return scores;
}

async function capturedRows(
    { threads }: Answering,
    scored: readonly Prompt[],
    scores: readonly RefusalScore[],
    settings: FitSettings,
    clock: StageClock,
): Promise<{ rows: PromptRows; data: FitData }> {
    const { model, prompts, goal, system, signal, threshold } = settings;
    clock.begin("capturing");
    const known = prompts.filter(({ split }) => split !== "eval");
    const rows = await PromptRows.capture(model, known, { system, threads, signal, onEvent: clock.onEvent });
    const preserve = goal === "induce" ? [] : known.filter(({ set }) => set === "preserve");
    const byPrompt = new Map(scores.map(({ prompt, score }) => [prompt, score]));
    return { rows, data: { rows, scored, scores: byPrompt, preserve, threshold } };
}

/** Fitted on the fit split alone, so that the select split can judge them. */
async function fittedDirections(
    data: FitData,
    { fits, signal }: FitSettings,
    clock: StageClock,
): Promise<RefusalDirections[]> {
    clock.begin("fitting");
    const part: FitData = { ...data, scored: ofSplit(data.scored, "fit"), preserve: ofSplit(data.preserve, "fit") };
    const heldOut = ofSplit(data.scored, "select");
    const fitted: RefusalDirections[] = [];
    for (const spec of fits) {
        throwIfAborted(signal);
        fitted.push(await fitDirections(part, spec, heldOut, signal));
        clock.count("fit", fitted.length, fits.length);
    }
    // What comes out alike, such as two ways to preserve where nothing is to be preserved, is tried once.
    return [...new Map(fitted.map((each) => [each.key, each])).values()];
}

/** To induce refusals on a topic, steering acts on it alone. */
async function topicOf(rows: PromptRows, { prompts, goal, signal }: FitSettings): Promise<TopicCondition | undefined> {
    if (goal === "reduce") {
        return undefined;
    }
    // Behind the layer that is measured there must be some to steer at.
    const layers = rows.layers.slice(0, Math.floor(rows.layers.length / 2));
    if (layers.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", "to induce on a topic, a model must have two layers or more");
    }
    const known = (split: Prompt["split"]): Prompt[] => ofSplit(prompts, split);
    return findTopic(rows, known("fit"), known("select"), layers, signal);
}

function searched(input: SearchInput, settings: FitSettings): Promise<TrialBook> {
    const { search, candidates, rounds, strengths } = settings;
    return search === "grid" ? searchGrid(input, strengths) : searchEfficiently(input, { candidates, rounds });
}

/** Where and how strongly is settled with prompts that the direction had not seen; now it may see them too. */
async function finalVector(
    { candidate }: Trial,
    data: FitData,
    { goal, model, seed, signal }: FitSettings,
    fingerprint: string,
): Promise<SteeringVector> {
    const directions = await fitDirections(data, candidate.directions.spec, [], signal);
    const chosen: Candidate = { ...candidate, directions };
    const norms = Float32Array.from(candidate.layers, (layer) => directionAt(directions, layer).norm);
    const { architecture, layers, hiddenSize } = model.info;
    return steeringOf(chosen, goal)
        .withNorms(norms)
        .withMetadata({ goal, seed, model: { architecture, layers, hiddenSize, fingerprint } });
}
