// The main job, from two model files and a prompt set to a measured steering direction:
// sample answers, judge them, fit WRMD directions, choose where and how strongly to steer, evaluate on unseen entities.
//
//   npm run demo [-- --json]

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Context, fitDirection, loadModel, ridgeBackend } from "llama-steer";
import { answerAll } from "./demo/answers.js";
import { candidateCount, choose } from "./demo/choose.js";
import { Judge, type JudgedAnswer } from "./demo/judge.js";
import { stage } from "./demo/progress.js";
import { type Prompt, readPrompts } from "./demo/prompts.js";
import { type Comparison, table } from "./demo/report.js";
import { residualsAtPromptEnd } from "./demo/residuals.js";
import { ratesBySet, refusalScores } from "./demo/scores.js";

const started = performance.now();
const samples = 4;
const testbed = (file: string): string => fileURLToPath(new URL(`../models/testbed/${file}`, import.meta.url));
const prompts = readPrompts(testbed("prompts.jsonl"));

await using chat = await loadModel(testbed("valdoria-chat.gguf"));
await using judgeModel = await loadModel(testbed("valdoria-judge.gguf"));
// Models so small gain nothing from a second thread, and short sequences nothing from a memory shared by all.
await using context = await chat.createContext({ sequences: 64, unifiedMemory: false, threads: 1 });
await using judgeContext = await judgeModel.createContext({ sequences: 32, batchSize: 1024, threads: 1 });
const judge = new Judge(judgeContext, readFileSync(testbed("judge-prompt.txt"), "utf8"));

// Directions come from the prompts whose scores tell refusal from compliance; those to preserve only shape them.
const known = [...prompts.fit, ...prompts.select];
const scored = known.filter((each) => each.set !== "preserve");
const preserve = known.filter((each) => each.set === "preserve");
const answers = await answered("Sampling answers", scored, { samples, temperature: 1 });
const scores = refusalScores(scored, await judged("Judging them", answers));
const rows = await stage("Capturing activations", known.length, async (advance) => ({
    scored: await residualsAtPromptEnd(context, scored, advance),
    preserve: await residualsAtPromptEnd(context, preserve, advance),
}));
const fitOf = (only: readonly Prompt[]) =>
    fitDirection({
        layers: rows.scored.layers,
        activations: rows.scored.of(only),
        scores: scores.filter((_, i) => only.includes(scored[i] as Prompt)),
        preserve: rows.preserve.of(only),
    });
const fit = await stage("Fitting directions", 1, () => fitOf(prompts.fit));

const selectBaseline = await judged(
    "Judging the baseline",
    await answered("Baseline to choose with", prompts.select, {}),
);
const choice = await stage("Choosing layer and strength", candidateCount(chat.info.layers), (advance) =>
    choose(context, judge, fit, prompts.select, selectBaseline, advance),
);
// Where and how strongly is settled on prompts the directions had not seen; now they may see them too.
const setting = { ...choice.setting, vector: (await fitOf(known)).vector };

const before = await judged("Judging the baseline", await answered("Answering unseen prompts", prompts.eval, {}));
const after = await judged(
    "Judging the steered answers",
    await answered("Answering them steered", prompts.eval, { setting }),
);

const result: Comparison = { baseline: ratesBySet(before), steered: ratesBySet(after) };
const { layer, strength, tokens } = setting;
const seconds = (performance.now() - started) / 1000;
if (process.argv.includes("--json")) {
    const settings = {
        method: "wrmd",
        preserve: "covariance-pooled",
        samples,
        layer,
        strength,
        tokens,
        ridge: ridgeBackend(),
        seconds,
    };
    console.log(JSON.stringify({ sets: bySet(result), settings }, null, 2));
} else {
    console.log(`\n${table(result)}\n`);
    console.log(
        `WRMD at layer ${layer}, strength ${strength}, ${tokens} token only; linear algebra: ${ridgeBackend()}`,
    );
    showExample(before, after);
    console.log(`${seconds.toFixed(0)} s`);
}
if (result.steered.target.refusalRate >= result.baseline.target.refusalRate) {
    console.error("The target refusals did not fall.");
    process.exitCode = 1;
}

function answered(title: string, list: readonly Prompt[], options: Parameters<typeof answerAll>[2]) {
    return stage(title, list.length * (options.samples ?? 1), (advance) =>
        answerAll(context satisfies Context, list, { ...options, onAnswer: () => advance() }),
    );
}

function judged(title: string, list: Parameters<Judge["label"]>[0]): Promise<JudgedAnswer[]> {
    return stage(title, list.length, (advance) => judge.label(list, advance));
}

function bySet({ baseline, steered }: Comparison) {
    const sets = ["target", "preserve", "neutral"] as const;
    return Object.fromEntries(sets.map((set) => [set, { baseline: baseline[set], steered: steered[set] }]));
}

function showExample(unsteered: readonly JudgedAnswer[], steered: readonly JudgedAnswer[]): void {
    const i = unsteered.findIndex(
        (each, at) => each.prompt.set === "target" && each.label > 0.9 && (steered[at]?.label ?? 1) < -0.9,
    );
    if (i >= 0) {
        console.log(
            `\n  ${unsteered[i]?.prompt.prompt}\n  baseline: ${unsteered[i]?.text}\n  steered:  ${steered[i]?.text}\n`,
        );
    }
}
