import test from "ava";
import { runScript } from "./support/run-script.js";

// Scripts in processes of their own, which must end by themselves: a crash is a signal, a hang is killed and is one too.

const begin = `
    import { fitDirection, loadModel } from "llama-steer";
    import { Worker } from "node:worker_threads";
    const path = "models/testbed/valdoria-chat.gguf";
    const prompt = [{ role: "user", content: "Where does the groso fish live?" }];
    const startWorker = (work) => new Worker("./test/fixtures/worker.mjs", { workerData: { work }, execArgv: [] });
    const turns = async (count) => { for (let i = 0; i < count; i++) await new Promise((done) => setImmediate(done)); };
`;
const loaded = `${begin}
    const model = await loadModel(path);
    const context = await model.createContext({ threads: 1 });
    const sequence = context.sequence();
    const logitBias = new Map([[model.tokenizer.endToken, -Infinity]]);
`;

test("a script that loads, generates and never disposes exits by itself with 0", async (t) => {
    const outcome = await runScript(`${loaded}
        const capture = context.capture();
        await sequence.evaluate(Int32Array.of(1, 2, 3));
        await sequence.clear();
        console.log((await sequence.generate(prompt).result()).text);
    `);
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
    t.regex(outcome.stdout, /sandy islands/);
});

test("pending work keeps the process alive until it is done, and nothing else does", async (t) => {
    const outcome = await runScript(`${begin}
        let done = 0;
        process.once("exit", () => console.log(done));
        loadModel(path).then(async (model) => {
            done++;
            const context = await model.createContext({ threads: 1 });
            done++;
            const sequence = context.sequence();
            sequence.evaluate(Int32Array.of(1, 2)).then(() => {
                done++;
                const generation = sequence.generate(prompt, { maxTokens: 5 });
                generation.result().then(() => { done++; });
            });
        });
    `);
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
    t.is(outcome.stdout, "4\n");
});

test("a generation that nobody reads runs to its end before the process exits", async (t) => {
    const outcome = await runScript(`${loaded}
        sequence.generate(prompt, { maxTokens: 20, logitBias });
        process.once("exit", () => console.log(context.statistics.decodes));
    `);
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
    t.is(outcome.stdout, "20\n");
});

test("a generation that fails and is never read is no unhandled rejection", async (t) => {
    const outcome = await runScript(`${loaded}
        sequence.generate(new Int32Array(1000));
        sequence.generate(prompt, { capture: { rows: "all", capacity: 1 } });
        sequence.generate(prompt, { signal: AbortSignal.abort() });
        const ended = sequence.generate(prompt, { logitBias });
        ended.abort();
        await turns(50);
        await context.dispose();
        context.dispose();
        model.dispose();
    `);
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
});

test("process.exit ends everything that runs, with its code", async (t) => {
    const works = {
        loading: `loadModel(path);`,
        generating: `sequence.generate(prompt, { logitBias });`,
        evaluating: `context.capture(); sequence.evaluate(new Int32Array(200).fill(5), { logits: "all" });`,
        making: `model.createContext({ threads: 1 });`,
        fitting: `fitDirection({ activations: new Float32Array(200 * 128).map((_, i) => Math.sin(i * i)), layers: [0],
            scores: Float32Array.from({ length: 200 }, (_, i) => i % 2 * 2 - 1) }).catch(() => {});`,
        disposing: `sequence.generate(prompt, { logitBias }); model.dispose();`,
    };
    for (const [name, work] of Object.entries(works)) {
        for (const wait of [0, 3]) {
            const outcome = await runScript(`${loaded} ${work} await turns(${wait}); process.exit(7);`);
            t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [7, null, ""], name);
        }
    }
});

test("an exception in onProgress surfaces as an uncaught one", async (t) => {
    const loading = `loadModel(path, { onProgress() { throw new Error("from my callback"); } })`;
    const outcome = await runScript(`${begin} await ${loading};`);
    t.true(outcome.code !== 0 && outcome.code !== null);
    t.is(outcome.signal, null);
    t.regex(outcome.stderr, /from my callback/);

    const caught = await runScript(`${begin}
        let count = 0;
        process.on("uncaughtException", (error) => { count += error.message === "from my callback" ? 1 : 100; });
        const model = await ${loading};
        console.log(count > 0 && count < 100, model.info.layers);
    `);
    t.deepEqual([caught.code, caught.stdout, caught.stderr], [0, "true 8\n", ""]);
});

test("an error that stops the script stops a generation with it", async (t) => {
    const outcome = await runScript(`${loaded}
        sequence.generate(prompt, { logitBias });
        throw new Error("the script's own");
    `);
    t.is(outcome.code, 1);
    t.is(outcome.signal, null);
    t.regex(outcome.stderr, /the script's own/);
});

test("a worker thread that generates and never disposes ends by itself with 0", async (t) => {
    const outcome = await runScript(`${begin}
        const worker = startWorker("answer");
        worker.on("message", (text) => console.log(text));
        worker.on("exit", (code) => console.log("exit", code));
    `);
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
    t.regex(outcome.stdout, /sandy islands.*\nexit 0\n/);
});

test("two workers and the main thread answer at once", async (t) => {
    const outcome = await runScript(`${loaded}
        const answers = [1, 2].map(() => new Promise((resolve, reject) => {
            const worker = startWorker("answer");
            worker.once("message", resolve);
            worker.once("error", reject);
        }));
        const own = (await sequence.generate(prompt).result()).text;
        console.log((await Promise.all(answers)).every((each) => each === own), own);
    `);
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
    t.regex(outcome.stdout, /^true .*sandy islands/);
});

for (const work of ["load", "generate", "capture", "fit"]) {
    test(`terminating a worker in the middle of its work crashes nothing: ${work}`, async (t) => {
        const outcome = await runScript(`${begin}
            for (let i = 0; i < 12; i++) {
                const worker = startWorker("${work}");
                worker.on("error", (error) => { throw error; });
                await new Promise((resolve) => worker.once("message", resolve));
                await turns(i * i);
                await worker.terminate();
            }
            const model = await loadModel(path);
            const context = await model.createContext({ threads: 1 });
            console.log((await context.sequence().generate(prompt).result()).text);
        `);
        t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
        t.regex(outcome.stdout, /sandy islands/);
    });
}

test("process.exit with busy workers ends them all", async (t) => {
    const outcome = await runScript(`${begin}
        const workers = ["load", "generate", "capture", "fit"].map(startWorker);
        await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
        process.exit(5);
    `);
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [5, null, ""]);
});
