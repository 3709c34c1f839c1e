// What capture and steering cost a decode step, against a context of the same model that does neither:
//
//   npm run bench -- foundation [--json] [--rounds N] [--pairs N] [--threads N] [--model FILE]

import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Context, loadModel, ridgeBackend, type Sequence, SteeringVector } from "llama-steer";
import { type Pairs, pair, type Row, type Step, summarize, table } from "./support/paired.js";

const sequenceCount = 8;
const promptTokens = 16;
const contextSize = 256;
const { values } = parseArgs({
    options: {
        json: { type: "boolean", default: false },
        rounds: { type: "string", default: "20" },
        pairs: { type: "string", default: "60" },
        threads: { type: "string", default: "1" },
        model: {
            type: "string",
            default: fileURLToPath(new URL("../models/testbed/valdoria-chat.gguf", import.meta.url)),
        },
    },
});
const threads = Number(values.threads);

await using model = await loadModel(values.model);
const { layers, hiddenSize, vocabularySize } = model.info;
const token = model.tokenizer.encode("a").subarray(0, 1);
// Small, so that the model stays itself; what is added does not change how long adding takes.
const vector = new SteeringVector(
    Array.from({ length: layers }, (_, layer) => layer),
    Float32Array.from({ length: layers * hiddenSize }, (_, i) => 0.01 * Math.cos(i)),
);

/** What is done to a context before its first step, and to its sequences before each. */
type Setup = (context: Context, sequences: readonly Sequence[]) => (() => void) | undefined;

const cases: Record<string, Setup> = {
    "nothing, as the baseline": () => undefined,
    "capture all rows, all layers": (context) => {
        context.capture({ rows: "all", capacity: sequenceCount });
        return undefined;
    },
    "capture last rows, all layers": (context) => {
        context.capture({ rows: "last-prompt-and-generated" });
        return undefined;
    },
    "steer all sequences, all layers": (_, sequences) => {
        sequences.forEach((sequence, i) => {
            sequence.steer(vector, { strength: 1 + i });
        });
        return undefined;
    },
    "the same, new strengths every step": (_, sequences) => {
        const steering = sequences.map((sequence, i) => sequence.steer(vector, { strength: 1 + i }));
        let step = 0;
        return () => {
            step++;
            steering.forEach((each, i) => {
                each.strength = 1 + ((step + i) % 8);
            });
        };
    },
};

/** A step appends a token to each sequence and brings their logits; full sequences are cut back to their prompts. */
async function makeStep(context: Context, setup: Setup): Promise<Step> {
    const sequences = Array.from({ length: sequenceCount }, () => context.sequence());
    const prompt = new Int32Array(promptTokens).fill(token[0] as number);
    await context.evaluate(sequences.map((sequence) => ({ sequence, tokens: prompt })));
    const beforeStep = setup(context, sequences);
    const entries = sequences.map(
        (sequence) => ({ sequence, tokens: token, logits: "last", kind: "generated" }) as const,
    );
    const into = new Float32Array(sequenceCount * vocabularySize);
    return async () => {
        if (sequences[0]?.position === contextSize) {
            await Promise.all(sequences.map((sequence) => sequence.truncate(promptTokens)));
        }
        beforeStep?.();
        await context.evaluate(entries, { into });
    };
}

/** One round: two new contexts, the order in which they are made changing from round to round. */
async function round(setup: Setup, baselineFirst: boolean): Promise<Pairs> {
    const options = { sequences: sequenceCount, contextSize, threads };
    await using first = await model.createContext(options);
    await using second = await model.createContext(options);
    const [plain, other] = baselineFirst ? [first, second] : [second, first];
    const baseline = await makeStep(plain, () => undefined);
    // Awaited here: the contexts go when this function returns.
    return await pair(baseline, await makeStep(other, setup), Number(values.pairs));
}

const rounds: Record<string, Pairs[]> = {};
for (let i = 0; i < Number(values.rounds); i++) {
    for (const [name, setup] of Object.entries(cases)) {
        rounds[name] = [...(rounds[name] ?? []), await round(setup, i % 2 === 0)];
    }
}
const rows: Row[] = Object.entries(rounds).map(([name, each]) => summarize(name, each));

if (values.json) {
    const machine = {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        platform: `${process.platform}-${process.arch}`,
        threads,
    };
    const versions = { node: process.versions.node, model: model.info.description, ridge: ridgeBackend() };
    console.log(JSON.stringify({ machine, versions, rows, goals: [] }, null, 2));
} else {
    console.log(
        `${sequenceCount} sequences, ${threads} threads, ${model.info.description}, ${values.rounds} rounds of ${values.pairs} pairs\n\n${table(rows)}`,
    );
}
