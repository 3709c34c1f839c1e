import type { Job } from "./job.js";
import { type Latency, LatencyWindow } from "./latency-window.js";
import type { ServeResult } from "./serve-request.js";

/** What a scheduler does, and has done since it was made. */
export interface SchedulerStatistics {
    /** Requests that wait. */
    queued: number;
    /** Answers under way, and how many there can be. */
    running: number;
    concurrency: number;
    /** Sequences that are kept for prompts that begin alike. */
    cached: number;
    /** Tokens in the context's memory, tokens that may still come, and tokens that it has room for. */
    heldTokens: number;
    promisedTokens: number;
    memoryTokens: number;
    /** Requests that were taken, by how they ended; those of `refused` were not taken. */
    submitted: number;
    finished: number;
    aborted: number;
    failed: number;
    refused: number;
    /** Of finished answers: prompt tokens, those among them taken from the prefix cache, and tokens generated. */
    promptTokens: number;
    sharedTokens: number;
    generatedTokens: number;
    /** Finished answers that took anything from the prefix cache. */
    cacheHits: number;
    /** Kept sequences given up for their room. */
    cacheEvictions: number;
    /** From asking to the first token, of the last 1024 answers. */
    firstToken: Latency | undefined;
    /** Answers under way by the key of their steering; "" for those that are not steered. */
    steering: ReadonlyMap<string, number>;
}

/** The part of the statistics that counts up. */
export class SchedulerCounts {
    submitted = 0;
    finished = 0;
    aborted = 0;
    failed = 0;
    refused = 0;
    promptTokens = 0;
    sharedTokens = 0;
    generatedTokens = 0;
    cacheHits = 0;
    readonly firstToken = new LatencyWindow();

    finish(result: ServeResult): void {
        this.finished++;
        this.promptTokens += result.promptTokens;
        this.sharedTokens += result.sharedTokens;
        this.generatedTokens += result.tokens.length;
        this.cacheHits += result.sharedTokens > 0 ? 1 : 0;
        this.firstToken.add(result.firstTokenMilliseconds);
    }
}

/** How many jobs each steering has. */
export function steeringInUse(running: Iterable<Job>): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { request } of running) {
        const key = request.steering?.key ?? "";
        counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
}
