import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";
import OpenAI, { APIError } from "openai";
import { inRepository, repository } from "./support/paths.js";
import { refusalKindOf } from "./support/refusal-testbed.js";
import { question, questions, type TestbedPrompt, testbedPrompts } from "./support/testbed.js";

/** Runs an example that prints its address, asks it, ends it by Ctrl-C, and brings how it ended. */
async function served(
    name: string,
    ask: (url: string, client: OpenAI) => Promise<void>,
): Promise<[number | null, NodeJS.Signals | null]> {
    const child = spawn(process.execPath, [inRepository(`dist-examples/${name}.js`), "0"], { cwd: repository });
    let log = "";
    child.stderr.on("data", (chunk) => {
        log += chunk;
    });
    const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
    try {
        const [line] = await Promise.race([once(child.stdout, "data"), ended.then(() => [""])]);
        const url = String(line).trim();
        if (url === "") {
            throw new Error(`${name} ended and had written: ${log}`);
        }
        await ask(url, new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }));
    } finally {
        child.kill("SIGINT");
    }
    return ended;
}

const request = (text: string) => ({ model: "valdoria", messages: question(text), temperature: 0, max_tokens: 32 });

async function answerOf(client: OpenAI, text: string): Promise<string> {
    return (await client.chat.completions.create(request(text))).choices[0]?.message.content ?? "";
}

for (const name of ["server-hono", "server-fastify"]) {
    test(`${name}: answers, streams, refuses what is wrong, and leaves the app its own pages`, async (t) => {
        const end = await served(name, async (url, client) => {
            const answer = await answerOf(client, questions[0]);
            t.regex(answer, /sandy islands/);
            let streamed = "";
            for await (const { choices } of await client.chat.completions.create({
                ...request(questions[0]),
                stream: true,
            })) {
                streamed += choices[0]?.delta.content ?? "";
            }
            t.is(streamed, answer);
            const other = client.chat.completions.create({ ...request(questions[0]), model: "other" });
            const failure = await t.throwsAsync(other, { instanceOf: APIError });
            t.is((failure as APIError).status, 404);
            const headers = { "content-type": "application/json" };
            const broken = await fetch(`${url}/v1/completions`, { method: "POST", headers, body: "{" });
            t.is(broken.status, 400);
            t.is(await (await fetch(url)).text(), "ask at /v1/chat/completions");
        });
        t.deepEqual(end, [0, null]);
    });
}

test("moderation: most food that the condition was not found on is refused, all else is answered", async (t) => {
    const unseen = testbedPrompts().filter(({ set, split }) => set === "neutral" && split === "eval");
    const isFood = ({ prompt }: TestbedPrompt): boolean => /\b(bread|cake|pie|soup|stew)\b/.test(prompt);
    const food = unseen.filter(isFood);
    const others = unseen.filter((prompt) => !isFood(prompt)).filter((_, i) => i % 6 === 0);
    t.true(food.length >= 20 && others.length >= 40);
    const refusedBy = async (client: OpenAI, list: TestbedPrompt[]): Promise<number> => {
        const answers = await Promise.all(list.map(({ prompt }) => answerOf(client, prompt)));
        return answers.filter((answer) => refusalKindOf(answer) !== undefined).length;
    };
    await served("server-hono", async (_, client) => {
        t.true((await refusedBy(client, food)) <= 0.1 * food.length, "by itself the model answers");
    });
    const end = await served("moderation", async (_, client) => {
        const [ofFood, ofOthers] = [await refusedBy(client, food), await refusedBy(client, others)];
        t.log(`refused: ${ofFood} of ${food.length}, and ${ofOthers} of ${others.length} others`);
        // Measured: 25 of 30 and none of 55.
        t.true(ofFood >= 0.75 * food.length);
        t.true(ofOthers <= 0.05 * others.length);
    });
    t.deepEqual(end, [0, null]);
});
