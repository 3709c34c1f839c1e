import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { RequestRecord } from "./request-log.js";
import type { Scheduler } from "./scheduler.js";
import type { SchedulerStatistics } from "./scheduler-statistics.js";
import type { ServeResult } from "./serve-request.js";

type Numbers = {
    [Key in keyof SchedulerStatistics]: SchedulerStatistics[Key] extends number ? Key : never;
}[keyof SchedulerStatistics];

const gauges: [Numbers, name: string, help: string][] = [
    ["queued", "queued_requests", "Requests that wait"],
    ["running", "running_answers", "Answers under way"],
    ["concurrency", "concurrency", "Answers that can be under way"],
    ["cached", "cached_sequences", "Sequences kept for prompts that begin alike"],
    ["heldTokens", "held_tokens", "Tokens in memory"],
    ["promisedTokens", "promised_tokens", "Tokens that may still come of what was begun"],
    ["memoryTokens", "memory_tokens", "Tokens that the memory has room for"],
];
const counters: [Numbers, name: string, help: string][] = [
    ["finished", "finished_answers_total", "Answers that came to their end"],
    ["aborted", "aborted_answers_total", "Answers that were ended before"],
    ["failed", "failed_answers_total", "Answers that failed"],
    ["refused", "refused_requests_total", "Requests for which the queue had no room"],
    ["promptTokens", "prompt_tokens_total", "Prompt tokens of finished answers"],
    ["sharedTokens", "shared_tokens_total", "Prompt tokens taken from the prefix cache"],
    ["generatedTokens", "generated_tokens_total", "Tokens of finished answers"],
    ["cacheHits", "cache_hits_total", "Answers that took anything from the prefix cache"],
    ["cacheEvictions", "cache_evictions_total", "Kept sequences given up for their room"],
];
const seconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const prefix = "llama_steer_";

/** A scheduler's figures for Prometheus. Read when they are asked for. */
export class ServerMetrics {
    readonly #registry = new Registry();
    readonly #requests: Counter<"route" | "status">;
    readonly #firstToken: Histogram;
    readonly #perToken: Histogram;

    constructor(scheduler: Scheduler) {
        const registers = [this.#registry];
        const gauge = (name: string, help: string, read: () => number): void => {
            const made: Gauge = new Gauge({
                name: prefix + name,
                help,
                registers,
                collect: () => made.set(read()),
            });
        };
        const counter = (name: string, help: string, read: () => number): void => {
            const made: Counter = new Counter({
                name: prefix + name,
                help,
                registers,
                collect: () => {
                    made.reset();
                    made.inc(read());
                },
            });
        };
        for (const [key, name, help] of gauges) {
            gauge(name, help, () => scheduler.statistics[key]);
        }
        for (const [key, name, help] of counters) {
            counter(name, help, () => scheduler.statistics[key]);
        }
        const { context } = scheduler;
        const read = (key: "decodes" | "tokens") => () => (context.disposed ? 0 : context.statistics[key]);
        counter("passes_total", "Forward passes", read("decodes"));
        counter("computed_tokens_total", "Tokens computed: by passes, how full they were", read("tokens"));
        const steered = (scheduled: SchedulerStatistics) => [...scheduled.steering].filter(([key]) => key !== "");
        gauge("steerings_in_use", "Different steerings under way", () => steered(scheduler.statistics).length);
        gauge("steered_answers", "Answers under way that are steered", () =>
            steered(scheduler.statistics).reduce((sum, [, count]) => sum + count, 0),
        );
        this.#requests = new Counter({
            name: `${prefix}requests_total`,
            help: "Requests answered, by route and status",
            labelNames: ["route", "status"],
            registers,
        });
        this.#firstToken = new Histogram({
            name: `${prefix}first_token_seconds`,
            help: "From asking to the first token",
            buckets: seconds,
            registers,
        });
        this.#perToken = new Histogram({
            name: `${prefix}token_seconds`,
            help: "Mean time between the tokens of an answer",
            buckets: [0.001, 0.0025, 0.005, ...seconds],
            registers,
        });
    }

    request({ route, status }: RequestRecord): void {
        this.#requests.inc({ route, status: String(status) });
    }

    finish({ tokens, firstTokenMilliseconds, totalMilliseconds }: ServeResult): void {
        this.#firstToken.observe(firstTokenMilliseconds / 1000);
        if (tokens.length > 1) {
            this.#perToken.observe((totalMilliseconds - firstTokenMilliseconds) / 1000 / (tokens.length - 1));
        }
    }

    async response(): Promise<Response> {
        const headers = { "content-type": this.#registry.contentType };
        return new Response(await this.#registry.metrics(), { headers });
    }
}
