import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type ChatMessage, type Context, loadVector } from "llama-steer";
import OpenAI, { APIError } from "openai";
import { endAll, endless } from "./support/cli-site.js";
import { saveReadmeVector } from "./support/cli-vector.js";
import { toFloat32 } from "./support/gguf.js";
import { findNginx } from "./support/nginx.js";
import { chatModelPath } from "./support/paths.js";
import { ReplicatedSite } from "./support/replicated-site.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { exactContext, question, testbedPrompts } from "./support/testbed.js";
import { until } from "./support/until.js";

const folder = new TemporaryFolder();
// In float32 an answer does not hang on what else is computed beside it.
const model = folder.write("exact.gguf", toFloat32(chatModelPath));
const vector = join(folder.path, "open.gguf");
const args = ["--model", model, "--name", "m", "--vector", `open=${vector}`, "--threads", "1", "--sequences", "32"];
const questions = testbedPrompts()
    .filter(({ set }) => set === "neutral")
    .map(({ prompt }) => prompt);
const maxTokens = 12;
const going = await endless(0);

test.before(() => saveReadmeVector(vector));
test.after.always(endAll);

interface Setting {
    cluster: ReplicatedSite;
    client: OpenAI;
}

/** A test of two replicas of its own behind nginx. They run one after another: each has three processes that compute. */
function clusterTest(title: string, run: (t: ExecutionContext, setting: Setting) => Promise<void>): void {
    test.serial(title, async (t) => {
        if (findNginx() === undefined) {
            t.log("skipped: nginx is not installed");
            t.pass();
            return;
        }
        t.timeout(240_000);
        const cluster = await ReplicatedSite.start(args);
        const baseURL = `${cluster.nginx.url}/v1`;
        try {
            await run(t, { cluster, client: new OpenAI({ baseURL, apiKey: cluster.key, maxRetries: 0 }) });
        } finally {
            await cluster.stop();
        }
        t.notRegex(cluster.nginx.complaints, /\[(alert|crit|emerg)\]/);
    });
}

interface Turn {
    text: string;
    replica: 0 | 1;
    /** Replicas that were asked for it. */
    asked: number;
    promptTokens: number;
    cachedTokens: number;
}

/** A conversation as a client of nginx has it. */
class Conversation {
    readonly messages: OpenAI.ChatCompletionMessageParam[] = [];
    readonly turns: Turn[] = [];
    readonly #setting: Setting;

    constructor(setting: Setting) {
        this.#setting = setting;
    }

    /** Asks what comes next, greedily, and adds the answer. */
    async say(text: string): Promise<Turn> {
        const { client, cluster } = this.#setting;
        this.messages.push({ role: "user", content: text });
        const request = { model: "m", messages: this.messages, temperature: 0, max_tokens: maxTokens };
        const { data, response } = await client.chat.completions.create(request).withResponse();
        const answer = data.choices[0]?.message.content ?? "";
        this.messages.push({ role: "assistant", content: answer });
        const turn = {
            text: answer,
            ...(await cluster.answeredBy(response.headers.get("x-request-id") as string)),
            promptTokens: data.usage?.prompt_tokens ?? 0,
            cachedTokens: data.usage?.prompt_tokens_details?.cached_tokens ?? 0,
        };
        this.turns.push(turn);
        return turn;
    }
}

/** Begins conversations until each replica has as many. */
async function conversations(setting: Setting, perReplica: number): Promise<[Conversation[], Conversation[]]> {
    const of: [Conversation[], Conversation[]] = [[], []];
    for (const text of questions.slice(0, 64)) {
        const conversation = new Conversation(setting);
        const { replica } = await conversation.say(text);
        of[replica].push(conversation);
        if (of.every((each) => each.length >= perReplica)) {
            return of;
        }
    }
    throw new Error(`of 64 conversations, the replicas have ${of.map((each) => each.length)}`);
}

/** What a conversation's turns are answered by the library, in a context that has nothing else. */
async function answersAlone(context: Context, messages: readonly ChatMessage[]): Promise<string[]> {
    const answers: string[] = [];
    for (let i = 1; i < messages.length; i += 2) {
        await using sequence = context.sequence();
        const { text } = await sequence.generate(messages.slice(0, i), { maxTokens }).result();
        answers.push(text);
    }
    return answers;
}

clusterTest(
    "every turn reaches the replica that has the conversation, and is answered as by the library alone",
    async (t, setting) => {
        const [atOne, atTwo] = await conversations(setting, 2);
        const all = [...atOne, ...atTwo];
        for (let turn = 1; turn < 3; turn++) {
            await Promise.all(all.map((each, i) => each.say(questions[64 + 3 * i + turn] as string)));
        }
        const context = await exactContext({ sequences: 1 });
        for (const { turns, messages } of all) {
            t.is(turns.length, 3);
            t.is(new Set(turns.map(({ replica }) => replica)).size, 1);
            for (const [i, { cachedTokens, asked }] of turns.entries()) {
                t.is(asked, 1);
                const before = turns[i - 1];
                t.true(
                    cachedTokens >= (before?.promptTokens ?? 0),
                    `turn ${i} took ${cachedTokens} tokens from memory`,
                );
            }
            const alone = await answersAlone(context, messages as ChatMessage[]);
            t.deepEqual(
                turns.map(({ text }) => text),
                alone,
            );
        }
        await context.dispose();
        t.log(`${atOne.length} and ${atTwo.length} conversations of 3 turns`);
    },
);

clusterTest(
    "steering, errors and keys pass, and conversations that differ in steering alone stay together",
    async (t, { client, cluster }) => {
        const steering = { vector: "open", tokens: "last-prompt" };
        const loaded = await loadVector(vector);
        const context = await exactContext({ sequences: 1 });
        const reached = new Set<number>();
        for (const text of questions.slice(0, 16)) {
            const request = { model: "m", messages: question(text), temperature: 0, max_tokens: maxTokens };
            const asked = [request, { ...request, steering }].map((each) =>
                client.chat.completions.create(each).withResponse(),
            );
            const [plain, steered] = await Promise.all(asked);
            const ids = [plain, steered].map((each) => each?.response.headers.get("x-request-id") as string);
            const [of, same] = await Promise.all(ids.map((id) => cluster.answeredBy(id)));
            t.is(of?.replica, same?.replica as 0);
            reached.add(of?.replica as 0);
            await using sequence = context.sequence();
            sequence.steer(loaded, { tokens: "last-prompt" });
            const alone = await sequence.generate(question(text), { maxTokens }).result();
            t.is(steered?.data.choices[0]?.message.content, alone.text);
        }
        await context.dispose();
        t.is(reached.size, 2);
        const wrong = client.chat.completions.create({ model: "other", messages: question("?") });
        t.is((await t.throwsAsync(wrong, { instanceOf: APIError }))?.status, 404);
        const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: "stranger", maxRetries: 0 });
        t.is((await t.throwsAsync(stranger.models.list().then(), { instanceOf: APIError }))?.status, 401);
        t.is((await fetch(`${cluster.nginx.url}/health`)).status, 200);
    },
);

clusterTest("an answer streams through, and a reader who leaves ends it", async (t, { client, cluster }) => {
    const request = { model: "m", messages: question(questions[0] as string), ...going, max_tokens: 200, n: 8 };
    const { data, response } = await client.chat.completions.create({ ...request, stream: true }).withResponse();
    for await (const { choices } of data) {
        if (choices[0]?.delta.content) {
            break;
        }
    }
    // It was under way when its first token had come: there is something left to be ended.
    const { replica } = await cluster.answeredBy(response.headers.get("x-request-id") as string);
    await until("its answers are ended", async () => (await cluster.metric(replica, "aborted_answers_total")) > 0);
    await until("none runs", async () => (await cluster.metric(replica, "running_answers")) === 0);
    let text = "";
    for await (const { choices } of await client.chat.completions.create({
        model: "m",
        messages: question(questions[1] as string),
        temperature: 0,
        max_tokens: maxTokens,
        stream: true,
    })) {
        text += choices[0]?.delta.content ?? "";
    }
    const context = await exactContext({ sequences: 1 });
    t.deepEqual(
        [text],
        await answersAlone(context, [...question(questions[1] as string), { role: "assistant", content: "" }]),
    );
    await context.dispose();
});

clusterTest(
    "a replica that is killed fails no request, and has its conversations again when it is back",
    async (t, setting) => {
        const { client, cluster } = setting;
        const [[lost], [kept]] = await conversations(setting, 1);
        const victim = cluster.replicas[0];
        // More work than it can have done by then, under way or waiting. It begins as the conversation does.
        const messages = (lost as Conversation).messages.slice(0, 1);
        const request = { model: "m", messages, ...going, max_tokens: 200, n: 8 };
        const underWay = Array.from({ length: 4 }, () => client.chat.completions.create(request).withResponse());
        await cluster.untilRunning(0, 1);
        victim.child.kill("SIGKILL");
        await victim.ended;
        let again = 0;
        for (const { data, response } of await Promise.all(underWay)) {
            t.is(data.usage?.completion_tokens, 8 * 200);
            const { replica, asked } = await cluster.answeredBy(response.headers.get("x-request-id") as string);
            again += replica === 1 && asked === 2 ? 1 : 0;
        }
        t.true(again > 0, "what was under way is asked of the other one");

        for (const conversation of [lost, kept, lost, kept] as Conversation[]) {
            t.is((await conversation.say("Who are you?")).replica, 1);
        }
        t.is((await fetch(`${cluster.nginx.url}/health`)).status, 200);
        await cluster.restart(0);
        await until("the conversation is back", async () => {
            const again = new Conversation(setting);
            again.messages.push(...(lost as Conversation).messages);
            return (await again.say("Who are you?")).replica === 0;
        });
        const turns = [
            await (lost as Conversation).say("What is that?"),
            await (lost as Conversation).say("And then?"),
        ];
        t.deepEqual(
            turns.map(({ replica, asked }) => [replica, asked]),
            [
                [0, 1],
                [0, 1],
            ],
        );
        t.true((turns[1]?.cachedTokens ?? 0) >= (turns[0]?.promptTokens ?? 1), "it keeps prefixes again");
        t.is((await (kept as Conversation).say("And you?")).replica, 1);
    },
);

clusterTest(
    "replicas are restarted one after the other under load, and no request is lost",
    async (t, { client, cluster }) => {
        const load = new Load(client);
        for (const index of [0, 1] as const) {
            await cluster.untilRunning(index, 2);
            const replica = cluster.replicas[index];
            replica.child.kill("SIGTERM");
            t.deepEqual(await replica.ended, [0, null]);
            t.regex(replica.log(), /"unfinished":0/);
            await cluster.restart(index);
            // Until nginx has tried it again, the other is the only one.
            await cluster.untilRunning(index, 1);
        }
        const failures = await load.stop();
        t.deepEqual(failures, []);
        t.true(load.finished > 16);
        t.log(`${load.finished} answers`);
    },
);

/** Clients that ask without a pause, half of them streaming, each in a conversation of its own. */
class Load {
    /** Answers that were complete. */
    finished = 0;
    readonly #failures: string[] = [];
    readonly #clients: Promise<void>[];
    #stopped = false;

    constructor(client: OpenAI, clients = 16) {
        this.#clients = Array.from({ length: clients }, (_, i) => this.#run(client, i));
    }

    async #run(client: OpenAI, index: number): Promise<void> {
        for (let i = 0; !this.#stopped; i++) {
            const messages = question(questions[(index + 16 * i) % questions.length] as string);
            const request = { model: "m", messages, ...going, max_tokens: 60, seed: i };
            try {
                const tokens = index % 2 === 0 ? await whole(client, request) : await streamed(client, request);
                if (tokens !== request.max_tokens) {
                    throw new Error(`an answer has ${tokens} tokens of ${request.max_tokens}`);
                }
                this.finished++;
            } catch (error) {
                this.#failures.push(`client ${index}, request ${i}: ${error}`);
            }
        }
    }

    /** Lets every client finish what it has asked, and brings what failed. */
    async stop(): Promise<string[]> {
        this.#stopped = true;
        await Promise.all(this.#clients);
        return this.#failures;
    }
}

type Order = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "stream">;

async function whole(client: OpenAI, request: Order): Promise<number | undefined> {
    return (await client.chat.completions.create(request)).usage?.completion_tokens;
}

async function streamed(client: OpenAI, request: Order): Promise<number | undefined> {
    let tokens: number | undefined;
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    for await (const { usage } of await client.chat.completions.create({ ...request, ...options })) {
        tokens = usage?.completion_tokens ?? tokens;
    }
    return tokens;
}
