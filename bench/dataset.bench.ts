// Activations of a data set: full batches, as `captureDataset` makes them, against one prompt per forward pass.
//
//   npm run bench -- dataset [--json] [--rounds N] [--prompts N] [--model FILE]
//
// The same prompts and the same rows: the residual stream of all layers at the last token. The tokens are random.
// One prompt per pass is timed with one thread and with a thread for each core. All sides run once per round, in an
// order that changes from round to round; a ratio is that of one round.

import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { captureDataset, loadModel } from "llama-steer";
import { quantiles, type Row } from "./support/paired.js";

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
const randomTokens = (count: number): number[] => Array.from({ length: count }, () => random(vocabularySize));
const count = Number(values.prompts);
const system = randomTokens(64);
/** Prompts of 20 to 200 tokens, and such as chats have: the same system prompt before each. */
const dataSets: Record<string, Int32Array[]> = {
    "nothing in common": Array.from({ length: count }, () => Int32Array.from(randomTokens(20 + random(181)))),
    "64 tokens in common": Array.from({ length: count }, () =>
        Int32Array.from([...system, ...randomTokens(4 + random(133))]),
    ),
};
const cores = availableParallelism();

async function onePromptPerPass(prompts: readonly Int32Array[], threads: number): Promise<void> {
    await using context = await model.createContext({ contextSize: 200, threads });
    const capture = context.capture({ rows: "last-prompt" });
    const sequence = context.sequence();
    for (const prompt of prompts) {
        await sequence.evaluate(prompt);
        capture.copy();
        await sequence.clear();
    }
}

const sides: Record<string, (prompts: readonly Int32Array[]) => Promise<unknown>> = {
    captureDataset: (prompts) => captureDataset(model, prompts),
    "one prompt per pass, 1 thread": (prompts) => onePromptPerPass(prompts, 1),
    [`one prompt per pass, ${cores} threads`]: (prompts) => onePromptPerPass(prompts, cores),
};
const names = Object.keys(sides);

/** All sides once per round, in turn; seconds by side. */
async function measure(prompts: readonly Int32Array[], title: string): Promise<Record<string, number[]>> {
    const seconds: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = -1; round < Number(values.rounds); round++) {
        for (const i of names.keys()) {
            const name = names[(i + round + 1) % names.length] as string;
            const begin = performance.now();
            await sides[name]?.(prompts);
            if (round >= 0) {
                seconds[name]?.push((performance.now() - begin) / 1000);
            }
        }
        process.stderr.write(`${title}: round ${round + 1} of ${values.rounds}\n`);
    }
    return seconds;
}

interface DatasetRow extends Row {
    tokensPerSecond: number;
}
const rows: DatasetRow[] = [];
for (const [title, prompts] of Object.entries(dataSets)) {
    const seconds = await measure(prompts, title);
    const tokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
    for (const name of names) {
        const own = seconds[name] as number[];
        const ratios = quantiles(own.map((each, round) => each / (seconds.captureDataset?.[round] as number)));
        const median = quantiles(own).median;
        rows.push({
            case: `${title}: ${name}`,
            median: median * 1000,
            spread: ratios.interval,
            ratio: ratios.median,
            tokensPerSecond: tokens / median,
        });
    }
}
const goals = rows
    .filter((row) => !row.case.endsWith("captureDataset"))
    .map(({ case: name, ratio }) => ({
        name: `times as fast as: ${name}`,
        value: ratio,
        limit: goal,
        met: ratio >= goal,
    }));

if (values.json) {
    const machine = { cpu: cpus()[0]?.model, cores, platform: `${process.platform}-${process.arch}` };
    const versions = { node: process.versions.node, model: model.info.description };
    console.log(JSON.stringify({ machine, versions, rows, goals }, null, 2));
} else {
    const width = Math.max(...rows.map((row) => row.case.length));
    const lines = rows.map(
        ({ case: name, median, ratio, tokensPerSecond, spread: [low, high] }) =>
            `${name.padEnd(width)}  ${(median / 1000).toFixed(2).padStart(8)}  ${tokensPerSecond.toFixed(0).padStart(8)}  ` +
            `${ratio.toFixed(2).padStart(6)}  ${low.toFixed(2)} to ${high.toFixed(2)}`,
    );
    console.log(
        [
            `${count} prompts, ${model.info.description}, ${cores} cores, ${values.rounds} rounds`,
            `${"".padEnd(width)}   seconds  tokens/s   ratio  95 % interval`,
            ...lines,
            ...goals.map(({ name, value, met }) => `${met ? "met" : "MISSED"}: ${value.toFixed(2)} ${name}`),
        ].join("\n"),
    );
}
