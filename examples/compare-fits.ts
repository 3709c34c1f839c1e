// How each method and each way of preserving does on the test-bed: directions from known entities, steering measured on
// entities they have not seen, at one layer and some strengths. Its figures are those of docs/fit-direction.md.
//
//   node scripts/build.mjs examples && node dist-examples/compare-fits.js [--tokens all|last-prompt] [--layer N] [--strengths A,B,..]
//       [--first N]: of the ways compared

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type FitDirectionOptions, fitDirection, loadModel, type SteeringVector } from "llama-steer";
import { answerAll } from "./demo/answers.js";
import { Judge } from "./demo/judge.js";
import { readPrompts } from "./demo/prompts.js";
import { residualsAtPromptEnd } from "./demo/residuals.js";
import { ratesBySet, refusalScores } from "./demo/scores.js";

type Choice = Pick<FitDirectionOptions, "method" | "preserveMode" | "lambda">;

const { values } = parseArgs({
    options: {
        tokens: { type: "string", default: "all" },
        layer: { type: "string", default: "3" },
        strengths: { type: "string", default: "-0.4,-0.6,-0.8" },
        first: { type: "string", default: "11" },
    },
});
const tokens = values.tokens === "all" ? "all" : "last-prompt";
const layer = Number(values.layer);
const strengths = values.strengths.split(",").map(Number);
const choices: Choice[] = [
    { method: "wrmd", preserveMode: "none" },
    { method: "wrmd", preserveMode: "covariance-within" },
    { method: "wrmd", preserveMode: "covariance-pooled" },
    { method: "wrmd", preserveMode: "project-out" },
    { method: "wrmd", preserveMode: "both" },
    { method: "wrmd", preserveMode: "covariance-pooled", lambda: "oas" },
    { method: "md", preserveMode: "none" },
    { method: "md", preserveMode: "project-out" },
    { method: "pca", preserveMode: "none" },
    { method: "lda", preserveMode: "covariance-pooled" },
    { method: "logistic", preserveMode: "none" },
];

const testbed = (file: string): string => fileURLToPath(new URL(`../models/testbed/${file}`, import.meta.url));
const prompts = readPrompts(testbed("prompts.jsonl"));
await using chat = await loadModel(testbed("valdoria-chat.gguf"));
await using judgeModel = await loadModel(testbed("valdoria-judge.gguf"));
await using context = await chat.createContext({ sequences: 64, unifiedMemory: false, threads: 1 });
await using judgeContext = await judgeModel.createContext({ sequences: 32, batchSize: 1024, threads: 1 });
const judge = new Judge(judgeContext, readFileSync(testbed("judge-prompt.txt"), "utf8"));

const known = [...prompts.fit, ...prompts.select];
const scored = known.filter((each) => each.set !== "preserve");
const scores = refusalScores(
    scored,
    await judge.label(await answerAll(context, scored, { samples: 4, temperature: 1 })),
);
const rows = await residualsAtPromptEnd(context, scored);
const preserve = await residualsAtPromptEnd(
    context,
    known.filter((each) => each.set === "preserve"),
);
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`.padStart(8);
const head =
    "method    preserve           lambda  AUC    held out  stability  strength  target ref.  kept ref.  neutral right";
console.log(`layer ${layer}, ${tokens} tokens, ${scored.length} prompts\n${head}`);

for (const choice of choices.slice(0, Number(values.first))) {
    const { vector, layers } = await fitDirection({
        ...choice,
        layers: rows.layers,
        activations: rows.of(scored),
        scores,
        diagnostics: { crossValidation: 5, bootstrap: 20 },
        ...(choice.preserveMode === "none" ? {} : { preserve: preserve.of(known) }),
    });
    const facts = layers[layer];
    for (const strength of strengths) {
        const rates = await ratesAt(vector, strength);
        console.log(
            [
                choice.method?.padEnd(8),
                choice.preserveMode?.padEnd(17),
                String(choice.lambda ?? 1).padEnd(6),
                facts?.auc.toFixed(3),
                facts?.heldOut?.auc.toFixed(3).padEnd(8),
                facts?.stability?.toFixed(3).padEnd(9),
                String(strength).padEnd(8),
                percent(rates.target.refusalRate),
                percent(rates.preserve.refusalRate),
                percent(rates.neutral.accuracy),
            ].join("  "),
        );
    }
}

async function ratesAt(vector: SteeringVector, strength: number) {
    const setting = { vector, layer, strength, tokens } as const;
    return ratesBySet(await judge.label(await answerAll(context, prompts.eval, { setting })));
}
