// Activations of a data set: full batches, as `captureDataset` makes them, against one prompt per forward pass.
//
//   npm run bench -- dataset [--json] [--rounds N] [--prompts N] [--model FILE]
//
// The same prompts, of 20 to 200 random tokens, and the same rows: the residual stream of all layers at the last token.
// One prompt per pass is timed with one thread and with a thread for each core. All sides run once per round, in an
// order that changes from round to round; a ratio is that of one round.

import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { captureDataset, loadModel } from "llama-steer";
import { quantiles } from "./support/paired.js";

const goal = 3;
const { values } = parseArgs({
    options: {
        json: { type: "boolean", default: false },
        rounds: { type: "string", default: "9" },
        prompts: { type: "string", default: "500" },
        model: {
            type: "string",
            default: fileURLToPath(new URL("../models/testbed/valdoria-chat.gguf", import.meta.url)),
        },
    },
});

await using model = await loadModel(values.model);
const { vocabularySize } = model.info;
let state = 1;
/** A whole number below `limit`, the same in every run. */
const random = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
};
const prompts = Array.from({ length: Number(values.prompts) }, () =>
    Int32Array.from({ length: 20 + random(181) }, () => random(vocabularySize)),
);
const tokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
const cores = availableParallelism();

async function onePromptPerPass(threads: number): Promise<void> {
    await using context = await model.createContext({ contextSize: 200, threads });
    const capture = context.capture({ rows: "last-prompt" });
    const sequence = context.sequence();
    for (const prompt of prompts) {
        await sequence.evaluate(prompt);
        capture.copy();
        await sequence.clear();
    }
}

let occupancy = 0;
const sides: Record<string, () => Promise<void>> = {
    captureDataset: async () => {
        await captureDataset(model, prompts, {
            onProgress: (progress) => {
                occupancy = progress.occupancy;
            },
        });
    },
    "one prompt per pass, 1 thread": () => onePromptPerPass(1),
    [`one prompt per pass, ${cores} threads`]: () => onePromptPerPass(cores),
};

const names = Object.keys(sides);
const seconds: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
for (let round = -1; round < Number(values.rounds); round++) {
    for (const i of names.keys()) {
        const name = names[(i + round + 1) % names.length] as string;
        const begin = performance.now();
        await sides[name]?.();
        if (round >= 0) {
            seconds[name]?.push((performance.now() - begin) / 1000);
        }
    }
    process.stderr.write(`round ${round + 1} of ${values.rounds}\n`);
}

const ours = seconds.captureDataset as number[];
const rows = names.map((name) => {
    const own = seconds[name] as number[];
    const ratios = quantiles(own.map((each, round) => each / (ours[round] as number)));
    return { case: name, median: quantiles(own).median * 1000, spread: ratios.interval, ratio: ratios.median };
});
const goals = rows.slice(1).map(({ case: name, ratio }) => ({
    name: `times as fast as ${name}`,
    value: ratio,
    limit: goal,
    met: ratio >= goal,
}));

if (values.json) {
    const machine = { cpu: cpus()[0]?.model, cores, platform: `${process.platform}-${process.arch}` };
    const versions = { node: process.versions.node, model: model.info.description };
    console.log(JSON.stringify({ machine, versions, rows, goals, tokens, occupancy }, null, 2));
} else {
    const width = Math.max(...names.map((name) => name.length));
    const lines = rows.map(
        ({ case: name, median, ratio, spread: [low, high] }) =>
            `${name.padEnd(width)}  ${(median / 1000).toFixed(2).padStart(8)}  ${((tokens / median) * 1000).toFixed(0).padStart(8)}  ` +
            `${ratio.toFixed(2).padStart(6)}  ${low.toFixed(2)} to ${high.toFixed(2)}`,
    );
    console.log(
        [
            `${prompts.length} prompts, ${tokens} tokens, ${model.info.description}; passes ${(100 * occupancy).toFixed(0)} % full`,
            `${"".padEnd(width)}   seconds  tokens/s   ratio  95 % interval`,
            ...lines,
            ...goals.map(
                ({ name, value, met }) => `${met ? "met" : "MISSED"}: ${value.toFixed(2)} ${name}, asked for ${goal}`,
            ),
        ].join("\n"),
    );
}
