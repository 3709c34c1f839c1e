// Serving many clients at once, steered or not, against node-llama-cpp:
//
//   npm run bench -- serve [--json] [--rounds N] [--clients 1,8,32,128] [--threads N] [--only testbed|synthetic|waiting]
//
// The same model, threads, context and prompts (as tokens) on both sides, greedy; each side in a process of its own, one
// load at a time, in an order that moves on from round to round. Each client has one request under way until all were
// asked. Neither side keeps prefixes. Figures are of the API that a server is built on, without HTTP; a ratio is that of
// two loads of one round. node-llama-cpp is installed into .cache/bench for this alone.
//
// "waiting": how long a short prompt waits for its first token while clients beside it send long ones.

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadModel } from "llama-steer";
import { installRival, rivalVersion } from "./support/node-llama-cpp.js";
import type { ServeLoad, ServeOutcome } from "./support/serve-load.js";
import { ServeProcess } from "./support/serve-process.js";
import { type ServeRow, serveRow, serveTable } from "./support/serve-report.js";
import { makeModel } from "./support/synthetic-model.js";

const { values } = parseArgs({
    options: {
        json: { type: "boolean", default: false },
        rounds: { type: "string", default: "5" },
        clients: { type: "string", default: "1,8,32,128" },
        threads: { type: "string", default: "1" },
        only: { type: "string" },
    },
});
const rounds = Number(values.rounds);
const threads = Number(values.threads);
const inRepository = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

const rival = installRival();
const ours = new ServeProcess(new URL("./support/serve-ours.js", import.meta.url));
const theirs =
    "entry" in rival
        ? new ServeProcess(new URL("./support/serve-node-llama-cpp.js", import.meta.url), [rival.entry])
        : undefined;

/** What is measured next to each other, the first being what ratios are of. */
type Sides = Record<string, { side: ServeProcess | undefined; load: Partial<ServeLoad> }>;

const rivalName = `node-llama-cpp ${rivalVersion}`;
const throughputSides: Sides = {
    [rivalName]: { side: theirs, load: {} },
    "not steered": { side: ours, load: { steering: "off" } },
    "one vector for all": { side: ours, load: { steering: "one" } },
    "a vector for each": { side: ours, load: { steering: "each" } },
    "not steered, llama.cpp's operators": { side: ours, load: { operators: "upstream" } },
};

/** Runs a load on all sides, round by round. */
async function compare(base: ServeLoad, sides: Sides): Promise<Map<string, ServeOutcome[]>> {
    const present = Object.entries(sides).filter(([, { side }]) => side !== undefined);
    const outcomes = new Map<string, ServeOutcome[]>(present.map(([name]) => [name, []]));
    for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < present.length; i++) {
            const [name, { side, load }] = present[(i + round) % present.length] as (typeof present)[number];
            const outcome = await (side as ServeProcess).run({ ...base, ...load });
            outcomes.get(name)?.push(outcome);
            const at = `${base.clients} clients, round ${round + 1} of ${rounds}`;
            console.error(`${at}: ${name}, ${outcome.tokens} tokens in ${outcome.seconds.toFixed(1)} s`);
        }
    }
    return outcomes;
}

async function throughput(
    title: string,
    base: Omit<ServeLoad, "clients" | "requests">,
    turns: number,
): Promise<ServeRow[]> {
    const rows: ServeRow[] = [];
    for (const clients of values.clients.split(",").map(Number)) {
        const outcomes = await compare({ ...base, clients, requests: Math.max(8, clients) * turns }, throughputSides);
        for (const [name, own] of outcomes) {
            const over = (other: string): number[] =>
                own.map((each, round) => rateOf(each) / rateOf(outcomes.get(other)?.[round] as ServeOutcome));
            rows.push(
                serveRow(`${title}, ${clients} at once`, name, own, {
                    ...(outcomes.has(rivalName) ? { toRival: over(rivalName) } : {}),
                    toPlain: over("not steered"),
                }),
            );
        }
    }
    return rows;
}

const rateOf = ({ tokens, seconds }: ServeOutcome): number => tokens / seconds;

/** A short prompt by itself, and while two clients send long ones. */
async function waiting(base: Omit<ServeLoad, "clients" | "requests">): Promise<ServeRow[]> {
    const beside = { clients: 2, prompts: randomPrompts(8, 512), maxTokens: 4 };
    const load = { ...base, maxTokens: 4, clients: 1, requests: 20, contextSize: 768 };
    const rows: ServeRow[] = [];
    for (const [title, prompts] of [
        ["32 tokens", randomPrompts(64, 32)],
        ["128 tokens", randomPrompts(64, 128)],
    ] as const) {
        const outcomes = await compare(
            { ...load, prompts },
            {
                "alone, node-llama-cpp": { side: theirs, load: {} },
                alone: { side: ours, load: {} },
                "beside long prompts, node-llama-cpp": { side: theirs, load: { beside } },
                "beside long prompts": { side: ours, load: { beside } },
                "beside long prompts, promptBudget 32": { side: ours, load: { beside, promptBudget: 32 } },
                "beside long prompts, promptBudget 16": { side: ours, load: { beside, promptBudget: 16 } },
            },
        );
        rows.push(...[...outcomes].map(([name, own]) => serveRow(`waiting, prompts of ${title}`, name, own, {})));
    }
    return rows;
}

/** Prompts of random tokens, the same in every run. */
function randomPrompts(count: number, length: number): number[][] {
    let state = 1;
    const next = (): number => {
        state = (state * 48271) % 0x7fffffff;
        return state;
    };
    return Array.from({ length: count }, () => Array.from({ length }, () => 16 + (next() % 4000)));
}

async function chatPrompts(path: string): Promise<number[][]> {
    await using model = await loadModel(path);
    const lines = readFileSync(inRepository("models/testbed/prompts.jsonl"), "utf8").trim().split("\n").slice(0, 256);
    return lines.map((line) => [...model.encodePrompt([{ role: "user", content: JSON.parse(line).prompt }])]);
}

const rows: ServeRow[] = [];
const wanted = (name: string): boolean => values.only === undefined || values.only === name;
try {
    if (wanted("testbed")) {
        const model = inRepository("models/testbed/valdoria-chat.gguf");
        const prompts = await chatPrompts(model);
        rows.push(...(await throughput("test-bed", { model, threads, prompts, maxTokens: 64, contextSize: 128 }, 12)));
    }
    const model = inRepository(".cache/bench/serve-46m-q8_0.gguf");
    if (wanted("synthetic") || wanted("waiting")) {
        mkdirSync(dirname(model), { recursive: true });
        if (!existsSync(model)) {
            makeModel(model);
        }
    }
    const base = { model, threads, prompts: randomPrompts(64, 32), maxTokens: 32, contextSize: 128 };
    if (wanted("synthetic")) {
        rows.push(...(await throughput("46 M parameters, Q8_0", base, 3)));
    }
    if (wanted("waiting")) {
        rows.push(...(await waiting(base)));
    }
} finally {
    ours.stop();
    theirs?.stop();
}

const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    platform: `${process.platform}-${process.arch}`,
    threads,
};
if (values.json) {
    const versions = { node: process.versions.node, rival: "entry" in rival ? rivalVersion : rival.missing };
    console.log(JSON.stringify({ machine, versions, rounds, rows }, null, 2));
} else {
    console.log(`${machine.cpu}, ${threads} threads, ${rounds} rounds\n`);
    console.log(serveTable(rows));
    if ("missing" in rival) {
        console.log(`\nnode-llama-cpp was not measured: ${rival.missing}`);
    }
}
