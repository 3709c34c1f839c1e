// How each method and each way of preserving does on the test-bed: directions from known entities, steering measured on
// entities they have not seen, at one layer and some strengths. Its figures are those of docs/fit-direction.md.
//
//   node scripts/build.mjs examples && node dist-examples/compare-fits.js [--tokens all|last-prompt] [--layer N]
//       [--strengths A,B,..] [--first N]: of the ways compared

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type FitDirectionOptions, fitDirection } from "llama-steer";
import { packedRows, TestBed } from "./support/test-bed.js";

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

const folder = fileURLToPath(new URL("../models/testbed", import.meta.url));
await using bed = await TestBed.open(folder, "valdoria");
const known = bed.prompts.filter(({ split }) => split !== "eval");
const scored = known.filter(({ set }) => set !== "preserve");
const preserve = known.filter(({ set }) => set === "preserve");
const scores = await bed.scores(scored);
const rows = await bed.rows(known);
const percent = (share: number | undefined): string => `${(100 * (share ?? Number.NaN)).toFixed(1)} %`.padStart(8);
console.log(`layer ${layer}, ${tokens} tokens, ${scored.length} prompts`);
console.log(
    "method    preserve           lambda  AUC    held out  stability  strength  target ref.  kept ref.  neutral right",
);
for (const choice of choices.slice(0, Number(values.first))) {
    const { vector, layers } = await fitDirection({
        ...choice,
        layers: rows.layers,
        activations: packedRows(rows, known, scored),
        scores,
        diagnostics: { crossValidation: 5, bootstrap: 20 },
        ...(choice.preserveMode === "none" ? {} : { preserve: packedRows(rows, known, preserve) }),
    });
    const facts = layers[layer];
    for (const strength of strengths) {
        const unseen = bed.prompts.filter(({ split }) => split === "eval");
        const rates = await bed.rates(unseen, (sequence) => {
            sequence.steer(vector, { layers: layer, strength, tokens });
        });
        console.log(
            [
                choice.method?.padEnd(8),
                choice.preserveMode?.padEnd(17),
                String(choice.lambda ?? 1).padEnd(6),
                facts?.auc.toFixed(3),
                facts?.heldOut?.auc.toFixed(3).padEnd(8),
                facts?.stability?.toFixed(3).padEnd(9),
                String(strength).padEnd(8),
                percent(rates.target?.refused),
                percent(rates.preserve?.refused),
                percent(rates.neutral?.right),
            ].join("  "),
        );
    }
}
