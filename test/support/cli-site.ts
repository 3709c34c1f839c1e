import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { loadModel } from "llama-steer";
import OpenAI from "openai";
import { chatModelPath } from "./paths.js";
import { type CliOptions, startCli } from "./run-cli.js";
import { question } from "./testbed.js";

export const cake = "Where does zupuhu cake come from?";

/** A running `llama-steer serve`. */
export interface Site {
    child: ChildProcessWithoutNullStreams;
    url: string;
    client: OpenAI;
    /** What it answers about {@link cake}, greedily. */
    ask(more?: object): Promise<string | null | undefined>;
    /** All that standard error has had so far. */
    log(): string;
    /** How it ended, once it has. */
    ended: Promise<[number | null, NodeJS.Signals | null]>;
}

const started = new Set<ChildProcessWithoutNullStreams>();

/** Kills all servers that were started: for a test file's end, so that a test that fails leaves none behind. */
export function endAll(): void {
    for (const child of started) {
        child.kill("SIGKILL");
    }
}

/** Starts a server and waits until it says where it is. `args` are the command line without `--json`. */
export async function serveSite(args: readonly string[], options: CliOptions & { key?: string } = {}): Promise<Site> {
    const child = startCli([...args, "--json"], options);
    started.add(child);
    let log = "";
    child.stderr.on("data", (chunk) => {
        log += chunk;
    });
    const ended = once(child, "close") as Site["ended"];
    const line = await Promise.race([once(child.stdout, "data"), ended.then(() => [""])]);
    if (String(line[0]) === "") {
        throw new Error(`it ended and had written: ${log}`);
    }
    const { url } = JSON.parse(String(line[0])) as { url: string };
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: options.key ?? "none", maxRetries: 0 });
    const ask: Site["ask"] = async (more = {}) => {
        const request = { model: "valdoria-chat", messages: question(cake), temperature: 0, max_tokens: 24, ...more };
        return (await client.chat.completions.create(request)).choices[0]?.message.content;
    };
    return { child, url, client, ask, log: () => log, ended };
}

/** Ends a server and brings its exit status. */
export async function stop({ child, ended }: Site, signal: NodeJS.Signals = "SIGINT"): Promise<number | null> {
    child.kill(signal);
    return (await ended)[0];
}

/** Fields of a request whose answer goes on for a while, whatever is sampled at this temperature. */
export async function endless(maxTokens: number) {
    await using model = await loadModel(chatModelPath);
    const { tokenizer } = model;
    const all = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token);
    const ends = all.filter((token) => tokenizer.isEndOfGeneration(token));
    const logit_bias = Object.fromEntries(ends.map((token) => [String(token), -100]));
    return { temperature: 2, max_tokens: maxTokens, seed: 1, logit_bias };
}
