import test from "ava";
import { runScript } from "./support/run-script.js";

// Resident memory is noisy, so a script of its own measures it, after as many rounds of warm-up and with the garbage
// collected. The bounds lie far above the noise, and far below what a leak of one context or capture per round would add.

/**
 * After the first large block that is freed, glibc keeps such blocks for itself, and holds up to 300 MiB of freed captures
 * before it levels off. With its threshold fixed, what is resident is what is held.
 */
const environment = { MALLOC_MMAP_THRESHOLD_: String(128 * 1024) };

const begin = `
    import { setFlagsFromString } from "node:v8";
    import { runInNewContext } from "node:vm";
    import { loadModel, SteeringVector } from "llama-steer";
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc");
    const path = "models/testbed/valdoria-chat.gguf";
    const settle = async () => {
        for (let i = 0; i < 5; i++) {
            collect();
            await new Promise((done) => setTimeout(done, 10));
        }
        return process.memoryUsage().rss / 2 ** 20;
    };
    const grown = async (round, rounds) => {
        for (let i = 0; i < rounds; i++) await round();
        const before = await settle();
        for (let i = 0; i < rounds; i++) await round();
        return (await settle()) - before;
    };
`;

const rounds: [what: string, megabytes: number, script: string][] = [
    [
        "300 captured and steered evaluations, each with 2 MiB to capture to",
        60,
        `const model = await loadModel(path);
         const context = await model.createContext({ threads: 1 });
         const sequence = context.sequence();
         console.log(await grown(async () => {
             const capture = context.capture();
             const steering = sequence.steer(new SteeringVector([1], new Float32Array(128).fill(0.1)));
             await sequence.evaluate(new Int32Array(8).fill(5), { logits: "all" });
             steering.remove();
             await Promise.all([capture.dispose(), sequence.clear()]);
         }, 300));`,
    ],
    [
        "300 contexts",
        40,
        `const model = await loadModel(path);
         console.log(await grown(async () => {
             const context = await model.createContext({ threads: 1 });
             await context.sequence().evaluate(Int32Array.of(1, 2));
             await context.dispose();
         }, 300));`,
    ],
    [
        "1,280 scheduled requests with 64 steerings, every third broken off",
        24,
        `import { Scheduler } from "llama-steer/server";
         const model = await loadModel(path);
         const context = await model.createContext({ threads: 1, sequences: 72, contextSize: 128, promptBudget: 64 });
         const scheduler = new Scheduler(context, { concurrency: 64 });
         const vectors = Array.from({ length: 64 }, (_, i) => new SteeringVector([2], new Float32Array(128).fill(i / 100)));
         console.log(await grown(() => Promise.all(vectors.map(async (vector, i) => {
             const stop = new AbortController();
             const prompt = [{ role: "user", content: "Where does fish number " + i + " live?" }];
             const steering = { key: "v" + i, apply: (sequence) => void sequence.steer(vector) };
             const answer = scheduler.submit({ prompt, maxTokens: 8, steering, client: "c" + i, signal: stop.signal });
             for await (const _ of answer) if (i % 3 === 0) break;
             await answer.result().catch(() => {});
         })), 20));
         if (scheduler.statistics.submitted !== 2 * 20 * 64 || scheduler.statistics.failed > 0) console.error("lost");
         await scheduler.close();`,
    ],
    [
        "60 models, used and disposed of",
        60,
        `console.log(await grown(async () => {
             const model = await loadModel(path);
             const context = await model.createContext({ threads: 1 });
             await context.sequence().generate(Int32Array.of(1, 2), { maxTokens: 2 }).result();
             await model.dispose();
         }, 60));`,
    ],
    [
        "60 models and contexts left to the garbage collector",
        80,
        `console.log(await grown(async () => {
             const model = await loadModel(path);
             const context = await model.createContext({ threads: 1 });
             await context.sequence().evaluate(Int32Array.of(1, 2));
             collect();
             await new Promise((done) => setImmediate(done));
         }, 60));`,
    ],
];

for (const [what, megabytes, script] of rounds) {
    test(`memory does not grow by more than ${megabytes} MiB: ${what}`, async (t) => {
        const outcome = await runScript(begin + script, [], 90_000, [], environment);
        t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
        const growth = Number(outcome.stdout);
        t.log(`${growth.toFixed(1)} MiB`);
        t.true(growth < megabytes, `${growth} MiB`);
    });
}
