// A model served by Fastify, beside whatever else the app does.
//
//   node scripts/build.mjs examples && node dist-examples/server-fastify.js [PORT]

import Fastify from "fastify";
import { loadModel } from "llama-steer";
import { createHandler, nodeListener, Scheduler } from "llama-steer/server";

const model = await loadModel("models/testbed/valdoria-chat.gguf");
const context = await model.createContext({ sequences: 12, promptBudget: 64, threads: 1 });
const scheduler = new Scheduler(context, { concurrency: 8 });
const listener = nodeListener(createHandler({ scheduler, model: "valdoria" }));

const app = Fastify({ forceCloseConnections: "idle" });
app.get("/", () => "ask at /v1/chat/completions");
app.register(async (api) => {
    // The handler reads bodies itself, within its own limits.
    api.removeAllContentTypeParsers();
    api.addContentTypeParser("*", (_request, _payload, done) => done(null));
    api.all("/v1/*", (request, reply) => {
        reply.hijack();
        listener(request.raw, reply.raw);
    });
});

console.log(await app.listen({ port: Number(process.argv[2] ?? 8080), host: "127.0.0.1" }));
process.once("SIGINT", async () => {
    await Promise.all([app.close(), scheduler.close({ graceMilliseconds: 10_000 })]);
    await model.dispose();
});
