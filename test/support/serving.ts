import type { GenerationResult, Sequence, SteeringVector } from "llama-steer";
import { SteeringVector as Vector } from "llama-steer";
import { type RequestSteering, Scheduler, type SchedulerOptions, type ServeRequest } from "llama-steer/server";
import { randomVector } from "./numbers.js";
import { exactContext, question } from "./testbed.js";

const scheduled = new Map<number, SteeringVector>();

/** A direction of its own for every number, long enough that most answers become others. */
export function vectorOf(number: number): SteeringVector {
    let vector = scheduled.get(number);
    if (vector === undefined) {
        vector = new Vector([2, 5], randomVector(256, 100 + number, 2.5));
        scheduled.set(number, vector);
    }
    return vector;
}

/** Steers every token along the direction of this number; 0: not at all. */
export function steeringOf(number: number): { steering?: RequestSteering } {
    if (number === 0) {
        return {};
    }
    const apply = (sequence: Sequence): void => {
        sequence.steer(vectorOf(number));
    };
    return { steering: { key: `v${number}`, apply } };
}

/** A scheduler with an exact context of its own. */
export async function exactScheduler(
    context: Parameters<typeof exactContext>[0],
    options: SchedulerOptions = {},
): Promise<Scheduler> {
    return new Scheduler(await exactContext(context), options);
}

/** Closes a scheduler and frees its context. */
export async function closeAll(scheduler: Scheduler): Promise<void> {
    await scheduler.close();
    await scheduler.context.dispose();
}

export interface Asked {
    text: string;
    steering: number;
    maxTokens?: number;
}

export function requestOf({ text, steering, maxTokens = 12 }: Asked): ServeRequest {
    return { prompt: question(text), maxTokens, ...steeringOf(steering) };
}

/** What each request is answered alone, in a context of one sequence that holds nothing else. */
export async function answersAlone(asked: readonly Asked[]): Promise<GenerationResult[]> {
    const context = await exactContext({ sequences: 1 });
    const results: GenerationResult[] = [];
    for (const each of asked) {
        await using sequence = context.sequence();
        const { prompt, steering, maxTokens } = requestOf(each);
        steering?.apply(sequence);
        results.push(await sequence.generate(prompt, { maxTokens: maxTokens as number }).result());
    }
    await context.dispose();
    return results;
}
