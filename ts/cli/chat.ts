import { createInterface, type Interface } from "node:readline";
import type { Command } from "commander";
import type { Model } from "../index.js";
import { type ChatHost, isCommand, runCommand, state } from "./chat-commands.js";
import { type ChatAnswer, ChatSession } from "./chat-session.js";
import { type CommandRun, command, runs } from "./command.js";
import { failureOf } from "./failure.js";
import {
    type ModelOptions,
    openModel,
    openVector,
    type VectorOptions,
    withModelOptions,
    withVectorOptions,
} from "./model-options.js";
import { number, text, whole } from "./option-values.js";

interface ChatOptions extends ModelOptions, VectorOptions {
    vector?: string;
    strength?: number;
    system?: string;
    contextSize?: number;
    maxTokens: number;
    temperature: number;
    seed: number;
}

const largestDefaultContext = 8192;

export function addChat(program: Command): void {
    const target = command(program, "chat", "talk to a model, steered or not", [
        "llama-steer chat --model model.gguf --vector vector.gguf",
        "llama-steer chat --model model.gguf --vector vector.gguf --strength 0.5 --system 'Be brief.'",
        "echo 'Why is the sky blue?' | llama-steer chat --model model.gguf --quiet",
    ]);
    withVectorOptions(
        withModelOptions(target)
            .option("--vector <file>", "what to steer with", text)
            .option("--strength <x>", "times what the vector's file says (default: 1)", number()),
    )
        .option("--system <text>", "a system message", text)
        .option("--context-size <n>", "tokens of a conversation (default: as trained, up to 8192)", whole(2, 1 << 30))
        .option("--max-tokens <n>", "of an answer", whole(1, 1 << 30), 512)
        .option("--temperature <x>", "0: always the most probable token", number(0), 0)
        .option("--seed <n>", "for a temperature above 0", whole(0, 2 ** 32 - 1), 0);
    runs<ChatOptions>(target, async (run, options) => {
        await using model = await openModel(run, options.model, options.gpuLayers);
        const session = await openSession(run, model, options);
        const host: ChatHost = {
            session,
            loadVector: (path) => openVector(path, model, options.model, options),
            note: (line) => run.output.note(line),
        };
        if (options.vector !== undefined) {
            const vector = await host.loadVector(options.vector);
            session.steer({ vector, strength: options.strength ?? 1 });
        }
        await new Conversation(run, host).run(`${options.model}, ${state(session)}. /help lists the commands`);
    });
}

async function openSession(run: CommandRun, model: Model, options: ChatOptions): Promise<ChatSession> {
    // A model without a chat template is refused before anything is said to it.
    model.applyChatTemplate([{ role: "user", content: "?" }]);
    const { contextSize = Math.min(model.info.trainingContext, largestDefaultContext), threads } = options;
    const context = await model.createContext({
        contextSize,
        signal: run.signal,
        ...(threads === undefined ? {} : { threads }),
    });
    return new ChatSession(context, {
        system: options.system,
        maxTokens: options.maxTokens,
        temperature: options.temperature,
        seed: options.seed,
    });
}

/** What `chat --json` tells of each thing that was said. */
type Turn = { said: string; steered: boolean; strength: number } & (
    | { answer: string; end: ChatAnswer["end"] }
    | { error: { code: string; message: string } }
);

/** Reads lines, from a terminal or a pipe, and answers them one after the other. */
class Conversation {
    readonly #run: CommandRun;
    readonly #host: ChatHost;
    readonly #lines: Interface;
    readonly #turns: Turn[] = [];
    #answering: AbortController | undefined;
    #warned = false;
    readonly #onInterrupt = (): void => this.#interrupted();

    constructor(run: CommandRun, host: ChatHost) {
        this.#run = run;
        this.#host = host;
        const terminal = process.stdin.isTTY === true && process.stderr.isTTY === true;
        this.#lines = createInterface({
            input: process.stdin,
            output: process.stderr,
            terminal,
            prompt: terminal ? "> " : "",
        });
    }

    async run(greeting: string): Promise<void> {
        // From here on Ctrl-C is about an answer. One listener goes when the other is there, or a signal could be lost between.
        process.on("SIGINT", this.#onInterrupt);
        this.#run.interrupt.end();
        this.#lines.on("SIGINT", this.#onInterrupt);
        try {
            this.#run.output.note(greeting);
            this.#lines.prompt();
            for await (const line of this.#lines) {
                if (!(await this.#take(line.trim()))) {
                    break;
                }
                this.#lines.prompt();
            }
        } finally {
            this.#lines.close();
            process.off("SIGINT", this.#onInterrupt);
        }
        if (this.#run.output.json) {
            this.#run.output.result({ turns: this.#turns }, () => []);
        }
    }

    /** @returns whether the conversation goes on */
    async #take(line: string): Promise<boolean> {
        this.#warned = false;
        if (line === "") {
            return true;
        }
        if (!isCommand(line)) {
            await this.#say(line);
            return true;
        }
        try {
            return await runCommand(this.#host, line);
        } catch (error) {
            this.#tell(error);
            return true;
        }
    }

    async #say(said: string): Promise<void> {
        const { session } = this.#host;
        const { output } = this.#run;
        const turn = { said, steered: session.steered, strength: session.strength };
        this.#answering = new AbortController();
        try {
            const onText = (piece: string): void => (output.json ? undefined : output.write(piece));
            const { text: answer, end } = await session.say(said, onText, this.#answering.signal);
            this.#turns.push({ ...turn, answer, end });
            if (!output.json) {
                output.write("\n");
            }
            this.#noteEnd(end);
        } catch (error) {
            this.#turns.push({ ...turn, error: this.#tell(error) });
        } finally {
            this.#answering = undefined;
        }
    }

    #noteEnd(end: ChatAnswer["end"]): void {
        const notes = {
            stop: undefined,
            length: "(cut off: --max-tokens allows no more)",
            context: "(the context is full: /reset begins anew)",
            aborted: "(stopped)",
        };
        const note = notes[end];
        if (note !== undefined) {
            this.#run.output.note(note);
        }
    }

    #tell(error: unknown): { code: string; message: string } {
        const { code, message } = failureOf(error);
        this.#run.output.error(`error ${code}: ${message}`);
        return { code, message };
    }

    #interrupted(): void {
        if (this.#answering === undefined) {
            if (this.#warned) {
                this.#lines.close();
                return;
            }
            this.#warned = true;
            this.#run.output.note("(Ctrl-C once more, Ctrl-D or /quit ends)");
            this.#lines.prompt();
        } else if (this.#answering.signal.aborted) {
            process.off("SIGINT", this.#onInterrupt);
            process.kill(process.pid, "SIGINT");
        } else {
            this.#answering.abort();
        }
    }
}
