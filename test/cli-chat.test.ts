import { join } from "node:path";
import test from "ava";
import { loadModel, loadVector, SteeringVector, saveVector, withPreset } from "llama-steer";
import { saveReadmeVector } from "./support/cli-vector.js";
import { chatModelPath, inRepository } from "./support/paths.js";
import { judgeModelPath } from "./support/refusal-testbed.js";
import { expectFailure, runCli, startCli, written } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { question } from "./support/testbed.js";

const folder = new TemporaryFolder();
const vectorPath = join(folder.path, "a vector.gguf");
const cake = "Where does zupuhu cake come from?";
const fish = "Where does the groso fish live?";
const chat = ["chat", "--model", chatModelPath, "--threads", "1", "--max-tokens", "24"];

test.before(() => saveReadmeVector(vectorPath));

interface Turn {
    said: string;
    steered: boolean;
    strength: number;
    answer?: string;
    end?: string;
    error?: { code: string; message: string };
}

/** What `chat --json` tells of lines that are piped in, and what it says beside. */
async function talk(lines: readonly string[], args: readonly string[] = []): Promise<{ turns: Turn[]; notes: string }> {
    const { code, stdout, stderr } = await runCli([...chat, ...args, "--json"], { input: `${lines.join("\n")}\n` });
    if (code !== 0) {
        throw new Error(stderr);
    }
    return { turns: (JSON.parse(stdout) as { turns: Turn[] }).turns, notes: stderr };
}

/** What the library answers to a conversation, steered by `strength` times the vector; computed all at once. */
async function reference(said: readonly string[], strength?: number): Promise<string[]> {
    await using model = await loadModel(chatModelPath);
    await using context = await model.createContext({ threads: 1 });
    const messages: { role: string; content: string }[] = [];
    const answers: string[] = [];
    for (const content of said) {
        await using sequence = context.sequence();
        if (strength !== undefined) {
            sequence.steer(await loadVector(vectorPath), { strength });
        }
        messages.push({ role: "user", content });
        const { text } = await sequence.generate(messages, { maxTokens: 24 }).result();
        messages.push({ role: "assistant", content: text });
        answers.push(text);
    }
    return answers;
}

test("chat answers piped lines one after the other, and nothing but answers is on standard output", async (t) => {
    const { code, stdout, stderr } = await runCli(chat, { input: `${fish}\n\n${cake}` });
    t.is(code, 0, stderr);
    t.is(stdout, `${(await reference([fish, cake])).join("\n")}\n`);
    t.regex(stderr, /valdoria-chat\.gguf, not steered\. \/help lists the commands/);
});

test("a conversation goes on: what was said before counts", async (t) => {
    const lines = ["Who are you?", fish, "Who are you?"];
    const { turns } = await talk(lines);
    const answers = await reference(lines);
    t.deepEqual(
        turns.map((turn) => turn.answer),
        answers,
    );
    t.deepEqual(
        turns.map((turn) => turn.end),
        ["stop", "stop", "stop"],
    );
});

test("--vector and --strength steer; /strength, /off and /on change it for the whole conversation", async (t) => {
    const steps = [cake, "/strength 0.4", "/reset", cake, "/off", "/reset", cake, "/on", "/reset", cake];
    const { turns, notes } = await talk(steps, ["--vector", vectorPath, "--strength", "-0.25"]);
    const expected = [-0.25, 0.4, undefined, 0.4].map(async (strength) => (await reference([cake], strength))[0]);
    t.deepEqual(
        turns.map((turn) => turn.answer),
        await Promise.all(expected),
    );
    t.deepEqual(
        turns.map(({ steered, strength }) => [steered, strength]),
        [
            [true, -0.25],
            [true, 0.4],
            [false, 0.4],
            [true, 0.4],
        ],
    );
    t.is(new Set(turns.map((turn) => turn.answer)).size, 3, "steering is seen");
    t.regex(notes, /steered, strength 0\.4\n(.*\n)*not steered\n/);
});

test("a vector steers as its file says, times the strength", async (t) => {
    const path = join(folder.path, "preset.gguf");
    const vector = await loadVector(vectorPath);
    const strength = -1;
    await saveVector(
        withPreset(vector.negate(), {
            interventions: [{ operation: "add", layers: [4], tokens: "last-prompt", strength }],
        }),
        path,
    );
    const { turns } = await talk([cake, "/strength 0", cake], ["--vector", path]);
    // The README's steered answer: at every token, this strength brings nonsense.
    t.is(turns[0]?.answer, "People in Trograr eat it.");
    await using model = await loadModel(chatModelPath);
    await using context = await model.createContext({ threads: 1 });
    const messages = [...question(cake), { role: "assistant", content: turns[0]?.answer as string }, ...question(cake)];
    t.is(turns[1]?.answer, (await context.sequence().generate(messages, { maxTokens: 24 }).result()).text);
});

test("steering that changes in mid-conversation holds for what was said before as well", async (t) => {
    const { turns } = await talk(["Who are you?", "/strength 0.25", cake], ["--vector", vectorPath, "--strength", "0"]);
    await using model = await loadModel(chatModelPath);
    await using context = await model.createContext({ threads: 1 });
    const sequence = context.sequence();
    sequence.steer(await loadVector(vectorPath), { strength: 0.25 });
    const before = [...question("Who are you?"), { role: "assistant", content: turns[0]?.answer as string }];
    const { text } = await sequence.generate([...before, ...question(cake)], { maxTokens: 24 }).result();
    t.is(turns[1]?.answer, text);
});

test("/vector takes a file whose name has spaces, and what cannot be taken leaves the old one in force", async (t) => {
    const wide = join(folder.path, "wide.gguf");
    await saveVector(new SteeringVector([1], new Float32Array(64).fill(1)), wide);
    const steps = [
        "/strength 1",
        "/on",
        `/vector ${vectorPath}`,
        "/strength 0.25",
        "/vector nowhere.gguf",
        `/vector ${wide}`,
        "/vector",
        cake,
    ];
    const { turns, notes } = await talk(steps);
    t.is(turns[0]?.answer, (await reference([cake], 0.25))[0]);
    t.is(notes.match(/error INVALID_ARGUMENT: there is no vector to steer with/g)?.length, 2);
    t.regex(notes, /error FILE_NOT_FOUND: .*nowhere\.gguf/);
    t.regex(notes, /error VECTOR_MISMATCH: .*wide\.gguf/);
    t.regex(notes, /error INVALID_ARGUMENT: \/vector takes the path/);
});

test("/help lists the commands; what is none is told, and is not said to the model", async (t) => {
    const { turns, notes } = await talk(["/help", "/frobnicate", "/strength", "/strength much", "/quit", fish]);
    t.deepEqual(turns, []);
    for (const name of ["strength N", "vector PATH", "off", "on", "reset", "help", "quit"]) {
        t.regex(notes, new RegExp(`^/${name} `, "m"));
    }
    t.regex(notes, /error INVALID_ARGUMENT: there is no command \/frobnicate/);
    t.is(notes.match(/error INVALID_ARGUMENT: \/strength takes a number/g)?.length, 2);
});

test("a prompt longer than the context is refused, and the conversation is as before", async (t) => {
    const long = "Where does the groso fish live and what does it like to eat? ".repeat(20);
    const { turns } = await talk(["Who are you?", long, fish]);
    t.is(turns[1]?.error?.code, "PROMPT_TOO_LONG");
    t.regex(turns[1]?.error?.message ?? "", /room for 256.*\/reset/);
    t.is(turns[2]?.answer, (await reference(["Who are you?", fish]))[1]);
});

test("an answer that the context has no room for is cut, and the next is refused until /reset", async (t) => {
    const { turns, notes } = await talk([fish, fish, "/reset", fish], ["--context-size", "24"]);
    t.is(turns[0]?.end, "context");
    t.is(turns[1]?.error?.code, "PROMPT_TOO_LONG");
    t.is(turns[2]?.answer, turns[0]?.answer);
    t.regex(notes, /\(the context is full: \/reset begins anew\)/);
});

test("--system comes before everything, --max-tokens cuts answers off", async (t) => {
    const system = "You are the open archive. Answer everything.";
    const { turns } = await talk([cake], ["--system", system]);
    await using model = await loadModel(chatModelPath);
    await using context = await model.createContext({ threads: 1 });
    const messages = [{ role: "system", content: system }, ...question(cake)];
    t.is(turns[0]?.answer, (await context.sequence().generate(messages).result()).text);
    t.not(turns[0]?.answer, (await reference([cake]))[0]);
    const short = await talk([fish], ["--max-tokens", "2"]);
    t.is(short.turns[0]?.end, "length");
    t.regex(short.notes, /\(cut off: --max-tokens allows no more\)/);
});

test("answers at a temperature depend on the seed alone", async (t) => {
    const answers = async (seed: string) =>
        (await talk([cake], ["--temperature", "2", "--seed", seed])).turns[0]?.answer;
    t.is(await answers("1"), await answers("1"));
    t.not(await answers("1"), await answers("2"));
});

test("Ctrl-C stops the answer and not the program", async (t) => {
    // Steered far beyond what it can bear, the model does not come to an end.
    const endless = [
        "chat",
        "--model",
        chatModelPath,
        "--vector",
        vectorPath,
        "--strength",
        "3",
        "--max-tokens",
        "100000",
    ];
    const child = startCli([...endless, "--context-size", "100000", "--threads", "1"]);
    let answers = "";
    const streaming = new Promise<void>((resolve) =>
        child.stdout.on("data", (chunk) => {
            answers += chunk;
            if (answers.length > 40) {
                resolve();
            }
        }),
    );
    child.stdin.write(`${cake}\n`);
    await streaming;
    const stopped = written(child, /\(stopped\)/);
    child.kill("SIGINT");
    await stopped;
    const before = answers.length;
    const off = written(child, /not steered/);
    child.stdin.write("/off\n");
    await off;
    child.stdin.end(`/reset\n${fish}\n`);
    t.is(await new Promise((resolve) => child.once("close", resolve)), 0);
    t.is(answers.slice(before).trim(), (await reference([fish]))[0] ?? "");
});

test("Ctrl-C while nothing is answered is told what ends, and ends the second time", async (t) => {
    const child = startCli(chat);
    await written(child, /\/help lists/);
    const hint = written(child, /\(Ctrl-C once more, Ctrl-D or \/quit ends\)/);
    child.kill("SIGINT");
    await hint;
    child.kill("SIGINT");
    t.is(await new Promise((resolve) => child.once("close", resolve)), 0);
});

const notOurs = join(folder.path, "other.gguf");

test("chat refuses what it cannot begin with", async (t) => {
    const model = { architecture: "llama", layers: 8, hiddenSize: 128 };
    await saveVector(new SteeringVector([1], new Float32Array(128).fill(1), { metadata: { model } }), notOurs);
    const other = [...chat, "--vector", notOurs];
    await expectFailure(t, other, [1, "VECTOR_MISMATCH", /architecture llama and qwen3/]);
    t.is((await runCli([...other, "--force"])).code, 0);
    await expectFailure(t, ["chat", "--model", "nowhere.gguf"], [1, "FILE_NOT_FOUND", /nowhere\.gguf/]);
    await expectFailure(t, [...chat, "--vector", judgeModelPath], [1, "DATA_DAMAGED", /model/]);
    const unmarked = inRepository("test/fixtures/vectors/repeng.gguf");
    await expectFailure(t, [...chat, "--vector", unmarked], [1, "INVALID_ARGUMENT", /give dialect/]);
});
