import { existsSync, readFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import {
    type AgreementEvent,
    type Answer,
    type Prompt,
    type RefusalEvent,
    type RetryEvent,
    RunDirectory,
    type SampleOptions,
    sampleAnswers,
} from "llama-steer/refusal";
import { Cluster } from "./cluster.js";
import { everyPrompt } from "./refusal-testbed.js";
import { TemporaryFolder } from "./temporary-folder.js";
import { exactContext } from "./testbed.js";

const folder = new TemporaryFolder();
const shape = { sequences: 8, unifiedMemory: false };
/** Of the model that would be steered, in float32. */
export const context = await exactContext(shape);
/** Of the same model. */
export const cluster = await Cluster.start(await exactContext({ sequences: 8, contextSize: 256 }));
/** Prompts that are asked. */
export const few = (await everyPrompt(100)).slice(0, 12);
const short = { maxTokens: 32, samples: 2, model: "valdoria" };
let places = 0;
export const openRun = (): RunDirectory => RunDirectory.open(`${folder.path}/run-${places++}`);
/** Answers that a run has kept. */
export const lineCount = ({ path }: RunDirectory): number => {
    const file = `${path}/answers.jsonl`;
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
};

/** Answers with whoever gives them, and what was told meanwhile. */
export async function asked(options: SampleOptions, prompts: readonly Prompt[] = few) {
    const events: RefusalEvent[] = [];
    const answers = await sampleAnswers(context, prompts, {
        ...short,
        ...options,
        onEvent: (event) => events.push(event),
    });
    return {
        answers,
        retries: events.filter((each): each is RetryEvent => each.type === "retry"),
        agreement: events.filter((each): each is AgreementEvent => each.type === "agreement"),
    };
}

/** The same answers: token for token, and log-probabilities as far as the composition of batches leaves them. */
export function sameAnswers(t: ExecutionContext, found: readonly Answer[], expected: readonly Answer[]): void {
    const plain = (answers: readonly Answer[]) => answers.map(({ meanLogProbability: _, ...rest }) => rest);
    t.deepEqual(plain(found), plain(expected));
    for (const [i, { meanLogProbability }] of found.entries()) {
        t.true(Math.abs(meanLogProbability - (expected[i] as Answer).meanLogProbability) < 1e-4);
    }
}

/** As the model itself gives them. */
export const local = (await asked({})).answers;

export async function closeCluster(): Promise<void> {
    await cluster[Symbol.asyncDispose]();
    await context.dispose();
}
