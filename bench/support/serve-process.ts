import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { ServeLoad, ServeOutcome } from "./serve-load.js";

/** What a side answers to a load. */
type Reply = { outcome: ServeOutcome } | { failure: string };

/** In a side's process: serves the loads that are sent to it, one after the other. */
export function serveLoads(serve: (load: ServeLoad) => Promise<ServeOutcome>): void {
    process.on("message", async (load: ServeLoad) => {
        let reply: Reply;
        try {
            reply = { outcome: await serve(load) };
        } catch (error) {
            reply = { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
        }
        process.send?.(reply);
    });
}

/** A side in a process of its own: two llama.cpp in one would share what neither can see. */
export class ServeProcess {
    readonly #child: ChildProcess;
    readonly #ended: Promise<[Reply]>;

    constructor(script: URL, args: readonly string[] = []) {
        this.#child = fork(script, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
        this.#ended = once(this.#child, "exit").then(([code]) => [{ failure: `the process ended with ${code}` }]);
    }

    /** Serves a load. */
    async run(load: ServeLoad): Promise<ServeOutcome> {
        this.#child.send(load);
        const done = new AbortController();
        const answer = once(this.#child, "message", { signal: done.signal }).catch(() => []);
        const [reply] = (await Promise.race([answer, this.#ended])) as [Reply];
        done.abort();
        if ("failure" in reply) {
            throw new Error(reply.failure);
        }
        return reply.outcome;
    }

    stop(): void {
        this.#child.kill();
    }
}
