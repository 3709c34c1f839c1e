// A model served by Hono, beside whatever else the app does.
//
//   node scripts/build.mjs examples && node dist-examples/server-hono.js [PORT]

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { loadModel } from "llama-steer";
import { createHandler, Scheduler } from "llama-steer/server";

const model = await loadModel("models/testbed/valdoria-chat.gguf");
const context = await model.createContext({ sequences: 12, promptBudget: 64, threads: 1 });
const scheduler = new Scheduler(context, { concurrency: 8 });
const handler = createHandler({ scheduler, model: "valdoria" });

const app = new Hono();
app.get("/", (c) => c.text("ask at /v1/chat/completions"));
app.all("/v1/*", (c) => handler(c.req.raw));

const server = serve({ fetch: app.fetch, port: Number(process.argv[2] ?? 8080), hostname: "127.0.0.1" }, ({ port }) =>
    console.log(`http://127.0.0.1:${port}`),
);
process.once("SIGINT", async () => {
    server.close();
    await scheduler.close({ graceMilliseconds: 10_000 });
    await model.dispose();
});
