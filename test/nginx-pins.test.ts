import { siteTest, user } from "./support/fake-site.js";

const system = (content: unknown) => ({ role: "system", content });
const assistant = (content: unknown) => ({ role: "assistant", content });
const clientPin = "client  127.0.0.1";

siteTest(
    "a conversation is pinned by its messages up to the first that is not the operator's",
    async (t, { pinOf }) => {
        const awkward = 'a "b" } ] \\ \n {"role":"system"} "messages":[{ é 猫 \u0000';
        const parts = [
            { type: "text", text: awkward },
            { type: "text", text: "}" },
        ];
        const beginnings: object[][] = [
            [user("hello")],
            [user(awkward)],
            [user(parts)],
            [user("")],
            [system("be good"), user("hello")],
            [system(awkward), { role: "developer", content: parts }, { content: parts, name: "me", role: "user" }],
            [{ content: "the role comes last", role: "system" }, user("hello")],
            [{ content: "role", name: "role", role: "user" }],
        ];
        for (const beginning of beginnings) {
            const expected = `messages ${JSON.stringify(beginning)}`.slice(0, -1);
            t.is(await pinOf({ model: "m", messages: beginning }), expected);
            const later = [...beginning, assistant(awkward), user("and then?"), assistant(parts), system("late")];
            const other = {
                steering: { vector: "v", when: { vector: "w" } },
                stream: true,
                seed: 2,
                logit_bias: { 1: 2 },
            };
            t.is(await pinOf({ ...other, model: "m", messages: later, temperature: 1 }), expected, "a later turn");
        }
        const schema = { type: "object", properties: { messages: { type: "array", items: [{}] } }, enum: ["messages"] };
        const format = { type: "json_schema", json_schema: { name: "messages", schema } };
        t.is(await pinOf({ response_format: format, messages: [user("q")] }), `messages [${JSON.stringify(user("q"))}`);
        const spaced = JSON.stringify({ messages: [system("s"), user("q"), assistant("a")] }, undefined, 4);
        const end = spaced.indexOf("}", spaced.indexOf('"q"'));
        t.is(await pinOf(spaced), `messages ${spaced.slice(spaced.indexOf("["), end + 1)}`);
        t.is(await pinOf({ messages: [system("alone")] }), `messages [${JSON.stringify(system("alone"))}`);
    },
);

siteTest("prompts are pinned by their first 256 characters or tokens, activations like their kind", async (t, site) => {
    const { pinOf } = site;
    const text = `once "upon" a time, \\ é ${"x".repeat(300)}`;
    const start = JSON.stringify(text).slice(0, 100);
    const pinned = await pinOf({ prompt: text });
    t.true(pinned.startsWith(`prompt ${start}`));
    t.is(await pinOf({ model: "m", max_tokens: 3, prompt: `${text} and more`, seed: 1 }), pinned);
    t.not(await pinOf({ prompt: `other ${text}` }), pinned);
    t.is(await pinOf({ prompt: "short" }), 'prompt "short');
    t.is(await pinOf({ prompt: ["first", "second"] }), 'prompt ["first');
    t.is(await pinOf({ prompt: [[1, 2], [3]] }), "prompt [[1,2");
    const tokens = Array.from({ length: 300 }, (_, i) => i);
    t.is(await pinOf({ prompt: tokens }), `prompt [${tokens.slice(0, 256)}`);
    t.is(await pinOf({ prompt: [...tokens, 7, 8] }), `prompt [${tokens.slice(0, 256)}`);
    t.is(await pinOf({ input: [user("q"), assistant("a")] }), `messages [${JSON.stringify(user("q"))}`);
    t.is(await pinOf({ input: "text" }), 'prompt "text');
});

siteTest("a session that is named overrides the body", async (t, { pinOf, ask, replicas }) => {
    const headers = { "x-llama-steer-session": "s1" };
    t.is(await pinOf({ messages: [user("one")] }, headers), "session s1");
    t.is(await pinOf({ messages: [user("another")] }, headers), "session s1");
    const reached = new Set<string>();
    for (let i = 0; reached.size < replicas.length && i < 1000; i++) {
        const session = { "x-llama-steer-session": `session ${i}` };
        reached.add(await (await ask({ messages: [user("the same")] }, session)).text());
    }
    t.is(reached.size, 2, "sessions go to both");
});

siteTest(
    "what has no beginning is pinned to its client, and no body makes an expression give up",
    async (t, { nginx, ask, pinOf }) => {
        t.is(await pinOf({}, { authorization: "Bearer k" }), "client Bearer k 127.0.0.1");
        for (const body of ["", "garbage", "{", '{"messages":[]}', '{"messages":"x"}', '{"prompt":""}']) {
            t.is(await pinOf(body), clientPin, body);
        }
        // An expression that went back would come to its limit of steps in these, which nginx calls an alert.
        const room = 2 ** 18;
        const beginnings = [
            "",
            '{"messages":[',
            '{"messages":[{"role":"user","content":"',
            '{"messages":[{"role":"system",',
        ];
        const pieces = '"§""§\\"§{§[§{"§"\\n§,§ §{"messages":[{§"messages":§"role":'.split("§");
        for (const piece of pieces) {
            for (const beginning of beginnings) {
                const body = beginning + piece.repeat(Math.floor(room / piece.length));
                t.is(await pinOf(body), clientPin, `${beginning} and ${piece} many times`);
            }
        }
        const long = { messages: [...Array.from({ length: 9000 }, () => system("s")), user("q".repeat(500_000))] };
        t.is(await pinOf(long), `messages ${JSON.stringify(long.messages).slice(0, -1)}`);
        // Within the limit of a body but not of its buffer, for what its chunks need themselves.
        const chunked = new ReadableStream<Uint8Array>({
            start(controller) {
                for (let i = 0; i < 2 ** 16; i++) {
                    controller.enqueue(new Uint8Array(15).fill(0x20));
                }
                controller.close();
            },
        });
        const init = { method: "POST", body: chunked, duplex: "half" } as RequestInit;
        const response = await fetch(`${nginx.url}/v1/chat/completions`, init);
        t.is(response.status, 200);
        t.is((await nginx.logged(response.headers.get("x-request-id") as string)).pin, clientPin);
        t.is((await ask(" ".repeat(2 ** 20))).status, 200);
        const refused = await ask(" ".repeat(2 ** 20 + 1));
        t.is(refused.status, 413);
        t.is(((await refused.json()) as { error: { code: string } }).error.code, "body_too_large");
        t.regex(nginx.complaints, /\[warn\].*buffered to a temporary file/, "that body was not in memory");
        t.notRegex(nginx.complaints, /\[(alert|crit|emerg)\]/);
    },
);
