import test from "ava";
import { runScript } from "./support/run-script.js";

// What every captured step leaves behind, in a process of its own: with the garbage collected, nothing. V8 would let its
// young generation grow to 16 MiB and more with time, which is no leak and would hide one. Memory of answers waits for the
// garbage collector, and so the process is as large as it becomes only after some rounds.
const flags = ["--expose-gc", "--max-semi-space-size=1"];

const begin = `
    import { loadModel } from "llama-steer";
    const model = await loadModel("models/testbed/valdoria-chat.gguf");
    const context = await model.createContext({ threads: 1 });
    const sequence = context.sequence();
    const settle = async () => {
        for (let i = 0; i < 5; i++) {
            gc();
            await new Promise((done) => setTimeout(done, 10));
        }
        const { heapUsed, rss } = process.memoryUsage();
        return { heap: heapUsed / 2 ** 20, rss: rss / 2 ** 20 };
    };
    const measure = async (round, warmUp, rounds) => {
        for (let i = 0; i < warmUp; i++) await round(i);
        const before = await settle();
        for (let i = 0; i < rounds; i++) await round(i);
        const after = await settle();
        console.log(JSON.stringify({ heap: after.heap - before.heap, rss: after.rss - before.rss, rows }));
    };
    let rows = 0;
`;

const rounds: readonly [what: string, rows: number, script: string][] = [
    [
        "10,000 captured decodes",
        11_000 * 8,
        `const capture = context.capture({ layers: "all", rows: "all" });
         await sequence.evaluate(Int32Array.of(5, 6, 7));
         const token = Int32Array.of(9);
         await measure(async () => {
             if (sequence.position === context.options.contextSize) {
                 await sequence.truncate(3);
             }
             await sequence.evaluate(token, { kind: "generated", logits: "last" });
             for (const layer of capture.layers) rows += capture.rowCount(layer);
         }, 1_000, 10_000);`,
    ],
    [
        "2,000 captured answers",
        6_000 * 3 * 8,
        `const prompt = Int32Array.of(5, 6);
         const logitBias = new Map(
             Array.from({ length: model.tokenizer.vocabularySize }, (_, token) => token)
                 .filter((token) => model.tokenizer.isEndOfGeneration(token))
                 .map((token) => [token, -Infinity]),
         );
         await measure(async (i) => {
             const capture = { rows: i % 2 === 0 ? "last-prompt-and-generated" : { positions: [0, 1, 2] } };
             const options = { maxTokens: 3, capture, logitBias };
             const { activations } = await sequence.generate(prompt, options).result();
             for (const layer of activations.layers) rows += activations.rowCount(layer);
             await sequence.clear();
         }, 4_000, 2_000);`,
    ],
];

for (const [what, rows, script] of rounds) {
    test(`the JavaScript heap and the process stay as large as they are over ${what}`, async (t) => {
        const outcome = await runScript(begin + script, [], 100_000, flags);
        t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
        const grown = JSON.parse(outcome.stdout) as { heap: number; rss: number; rows: number };
        t.log(`heap ${grown.heap.toFixed(2)} MiB, process ${grown.rss.toFixed(1)} MiB`);
        t.is(grown.rows, rows, "they were captured");
        t.true(grown.heap < 2, `${grown.heap} MiB of heap`);
        t.true(grown.rss < 16, `${grown.rss} MiB of the process`);
    });
}
