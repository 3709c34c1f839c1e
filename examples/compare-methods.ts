// MD, RMD and WRMD, with and without a preserve set, at equal release: each direction is made as strong as it takes to leave
// one share of the refusals on prompts of the select split, at the layer where that costs least; then what it does is
// measured on entities that nothing was chosen by. Its tables are those of docs/refusal-steering.md.
//
//   node scripts/build.mjs examples && node dist-examples/compare-methods.js [--folder F --name N] [--release 0.2]
//       [--tokens all|last-prompt] [--layers 2,3,4] [--confounded]: fit on targets of some kinds of entity and neutral prompts of the others

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type FitDirectionOptions, fitDirection, type Sequence, type SteeringVector } from "llama-steer";
import type { Prompt } from "llama-steer/refusal";
import { packedRows, TestBed } from "./support/test-bed.js";

type Choice = Pick<FitDirectionOptions, "method" | "preserveMode" | "lambda">;

const { values } = parseArgs({
    options: {
        folder: { type: "string", default: fileURLToPath(new URL("../models/testbed", import.meta.url)) },
        name: { type: "string", default: "valdoria" },
        release: { type: "string", default: "0.2" },
        tokens: { type: "string", default: "last-prompt" },
        layers: { type: "string", default: "2,3,4" },
        confounded: { type: "boolean", default: false },
        seed: { type: "string", default: "0" },
    },
});
const release = Number(values.release);
const tokens = values.tokens === "all" ? "all" : "last-prompt";
const choices: Choice[] = [
    { method: "md", preserveMode: "none" },
    { method: "md", preserveMode: "project-out" },
    { method: "rmd", preserveMode: "none" },
    { method: "rmd", preserveMode: "covariance-pooled" },
    { method: "wrmd", preserveMode: "none" },
    { method: "wrmd", preserveMode: "covariance-pooled" },
    { method: "wrmd", preserveMode: "both" },
    { method: "wrmd", preserveMode: "covariance-pooled", lambda: "oas" },
];

await using bed = await TestBed.open(values.folder, values.name, Number(values.seed));
const of = (split: Prompt["split"]): Prompt[] => bed.prompts.filter((each) => each.split === split);
const kinds = [...new Set(bed.prompts.filter(({ set }) => set === "target").map(({ kind }) => kind))].sort();
const someKinds = new Set(kinds.slice(0, Math.ceil(kinds.length / 2)));
/** Confounded: what kind of thing is asked about tells as much as whether it is refused. */
const isKept = ({ set, kind }: Prompt): boolean =>
    !values.confounded || set === "preserve" || (set === "target") === someKinds.has(kind);
const fitted = of("fit").filter(isKept);
const scored = fitted.filter(({ set }) => set !== "preserve");
const preserve = fitted.filter(({ set }) => set === "preserve");
const rows = await bed.rows(fitted);
const scores = await bed.scores(scored);
const select = of("select").filter(isKept);
const targets = select.filter(({ set }) => set === "target");

const percent = (share: number | undefined): string =>
    (share === undefined ? "-" : `${(100 * share).toFixed(1)} %`).padStart(8);
console.log(
    `${tokens} tokens, ${scored.length} prompts scored${values.confounded ? ", kinds confounded" : ""}; refusals left on ` +
        `the select split: ${percent(release).trim()}`,
);
console.log(
    "method  preserve           lambda  layer  strength  target ref.  kept ref.  neutral right  released right",
);
for (const choice of choices) {
    const { vector } = await fitDirection({
        ...choice,
        layers: rows.layers,
        activations: packedRows(rows, fitted, scored),
        scores,
        ...(choice.preserveMode === "none" ? {} : { preserve: packedRows(rows, fitted, preserve) }),
    });
    const best = await leastCostly(vector);
    const name = [
        choice.method?.padEnd(6),
        choice.preserveMode?.padEnd(17),
        String(choice.method === "md" ? "-" : (choice.lambda ?? 1)).padEnd(6),
    ];
    if (best === undefined) {
        console.log([...name, "does not reach it at any layer"].join("  "));
        continue;
    }
    const {
        target,
        preserve: kept,
        neutral,
    } = await bed.rates(of("eval"), steering(vector, best.layer, best.strength));
    console.log(
        [
            ...name,
            String(best.layer).padEnd(5),
            best.strength.toFixed(2).padEnd(8),
            percent(target?.refused),
            percent(kept?.refused),
            percent(neutral?.right),
            percent(target?.releasedRight),
        ].join("  "),
    );
}

function steering(vector: SteeringVector, layer: number, strength: number) {
    return (sequence: Sequence): void => void sequence.steer(vector, { layers: layer, strength, tokens });
}

/** At each layer the strength that leaves the share asked for; of these the one that changes least of what is to stay. */
async function leastCostly(vector: SteeringVector): Promise<{ layer: number; strength: number } | undefined> {
    const others = select.filter(({ set }) => set !== "target");
    const found: { layer: number; strength: number; cost: number }[] = [];
    for (const layer of values.layers.split(",").map(Number)) {
        const strength = await strengthFor(vector, layer);
        if (strength !== undefined) {
            const { preserve: kept, neutral } = await bed.rates(others, steering(vector, layer, strength));
            const { target } = await bed.rates(targets, steering(vector, layer, strength));
            const lost = (kept === undefined ? 0 : 1 - kept.refused) + (neutral === undefined ? 0 : 1 - neutral.right);
            found.push({ layer, strength, cost: lost + (1 - (target?.releasedRight ?? 1)) });
        }
    }
    return found.reduce<(typeof found)[number] | undefined>(
        (a, b) => (a === undefined || b.cost < a.cost ? b : a),
        undefined,
    );
}

/** By bisection between no steering and four times the gap; undefined where even that leaves more. */
async function strengthFor(vector: SteeringVector, layer: number): Promise<number | undefined> {
    const left = async (strength: number): Promise<number> =>
        (await bed.rates(targets, steering(vector, layer, -strength))).target?.refused ?? 1;
    let [low, high] = [0, 0.5];
    while ((await left(high)) > release) {
        [low, high] = [high, 2 * high];
        if (high > 4) {
            return undefined;
        }
    }
    for (let step = 0; step < 4; step++) {
        const middle = (low + high) / 2;
        [low, high] = (await left(middle)) > release ? [middle, high] : [low, middle];
    }
    return -high;
}
