// The side of `npm run bench -- serve` that is ours: a process that serves the loads it is sent, with a context and a
// scheduler of its own for each.

import { loadModel, type Sequence, SteeringVector } from "llama-steer";
import { type RequestSteering, Scheduler } from "llama-steer/server";
import { type Ask, runLoad, type ServeLoad } from "./serve-load.js";
import { serveLoads } from "./serve-process.js";

serveLoads(async (load) => {
    await using model = await loadModel(load.model);
    await using context = await model.createContext({
        sequences: load.clients + (load.beside?.clients ?? 0),
        contextSize: load.contextSize,
        threads: load.threads,
        ...(load.promptBudget === undefined ? {} : { promptBudget: load.promptBudget }),
        ...(load.operators === undefined ? {} : { operators: load.operators }),
    });
    // The other side keeps no prefixes either.
    await using scheduler = new Scheduler(context, { prefixCache: false, queueLimit: load.requests });
    const steering = steeringOf(load, model.info);
    const ask: Ask = async (prompt, client, maxTokens, onTokens) => {
        const mine = steering(client);
        const answer = scheduler.submit({
            prompt: Int32Array.from(prompt),
            maxTokens,
            ...(mine === undefined ? {} : { steering: mine }),
        });
        for await (const tokens of answer) {
            onTokens(tokens.length, tokens.map(({ text }) => text).join(""));
        }
    };
    await runLoad({ ...load, requests: load.clients, maxTokens: 4 }, ask);
    return await runLoad(load, ask);
});

/** How each client's answers are steered: at all layers and tokens, with a strength that leaves the model itself. */
function steeringOf(
    { steering = "off", clients }: ServeLoad,
    { layers, hiddenSize }: { layers: number; hiddenSize: number },
): (client: number) => RequestSteering | undefined {
    if (steering === "off") {
        return () => undefined;
    }
    const count = steering === "one" ? 1 : clients;
    const vectors = Array.from(
        { length: count },
        (_, v) =>
            new SteeringVector(
                Array.from({ length: layers }, (_, layer) => layer),
                Float32Array.from({ length: layers * hiddenSize }, (_, i) => Math.cos(i * (v + 1))),
            ),
    );
    return (client) => {
        const which = client % count;
        const vector = vectors[which] as SteeringVector;
        return {
            key: `vector ${which}`,
            apply: (sequence: Sequence) => {
                sequence.steer(vector, { strength: 1e-4 });
            },
        };
    };
}
