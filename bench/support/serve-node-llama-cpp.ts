// The side of `npm run bench -- serve` that is node-llama-cpp's: a process that serves the loads it is sent, in the
// fastest way its documentation has: one context with a sequence for each client, whose tokens it batches.

import { pathToFileURL } from "node:url";
import { type Ask, runLoad } from "./serve-load.js";
import { serveLoads } from "./serve-process.js";

/** As much of its API as is used here. */
interface Rival {
    getLlama(options: object): Promise<{
        loadModel(options: object): Promise<{
            createContext(options: object): Promise<{ getSequence(): RivalSequence; dispose(): Promise<void> }>;
            detokenize(tokens: readonly number[]): string;
            dispose(): Promise<void>;
        }>;
    }>;
}

interface RivalSequence {
    evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
    clearHistory(): Promise<void>;
}

const { getLlama } = (await import(pathToFileURL(process.argv[2] as string).href)) as Rival;

let llama: Awaited<ReturnType<Rival["getLlama"]>> | undefined;

serveLoads(async (load) => {
    llama ??= await getLlama({ gpu: false, build: "never", maxThreads: load.threads, logLevel: "error" });
    const model = await llama.loadModel({ modelPath: load.model, gpuLayers: 0 });
    const clients = load.clients + (load.beside?.clients ?? 0);
    const context = await model.createContext({
        sequences: clients,
        contextSize: load.contextSize,
        batchSize: 512,
        threads: load.threads,
    });
    const sequences = Array.from({ length: clients }, () => context.getSequence());
    const ask: Ask = async (prompt, client, maxTokens, onTokens) => {
        const sequence = sequences[client] as RivalSequence;
        await sequence.clearHistory();
        let count = 0;
        for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
            onTokens(1, model.detokenize([token]));
            if (++count === maxTokens) {
                break;
            }
        }
    };
    await runLoad({ ...load, requests: load.clients, maxTokens: 4 }, ask);
    const outcome = await runLoad(load, ask);
    await context.dispose();
    await model.dispose();
    return outcome;
});
