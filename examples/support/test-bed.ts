// What comparisons on a test-bed share: its models, refusal scores, captured rows, and answers under steering.

import { type Activations, captureDataset, loadModel, type Sequence } from "llama-steer";
import {
    fileFingerprint,
    judgeAnswers,
    LocalJudge,
    type Prompt,
    type PromptSet,
    readPrompts,
    refusalScores,
    sampleAnswers,
} from "llama-steer/refusal";

/** How a set of prompts was answered: shares, 0 .. 1. */
export interface Rates {
    refused: number;
    /** Of all prompts. */
    right: number;
    /** Of those not refused. */
    releasedRight: number;
}

/** A folder with NAME-chat.gguf, NAME-judge.gguf and prompts.jsonl, ready to be measured. */
export class TestBed {
    readonly #judge: LocalJudge;
    readonly #context: Awaited<ReturnType<Awaited<ReturnType<typeof loadModel>>["createContext"]>>;
    readonly #fingerprint: string;
    readonly model: Awaited<ReturnType<typeof loadModel>>;
    readonly prompts: readonly Prompt[];
    #steerings = 0;

    private constructor(parts: {
        model: TestBed["model"];
        context: Awaited<ReturnType<TestBed["model"]["createContext"]>>;
        judge: LocalJudge;
        prompts: readonly Prompt[];
        fingerprint: string;
    }) {
        this.model = parts.model;
        this.#context = parts.context;
        this.#judge = parts.judge;
        this.prompts = parts.prompts;
        this.#fingerprint = parts.fingerprint;
    }

    static async open(folder: string, name: string, seed = 0): Promise<TestBed> {
        const path = `${folder}/${name}-chat.gguf`;
        const model = await loadModel(path);
        const context = await model.createContext({ sequences: 64, unifiedMemory: false, threads: 1 });
        const template = `${folder}/judge-prompt.txt`;
        const judge = await LocalJudge.open(`${folder}/${name}-judge.gguf`, { template, threads: 1 });
        const prompts = await readPrompts(`${folder}/prompts.jsonl`, { seed });
        return new TestBed({ model, context, judge, prompts, fingerprint: await fileFingerprint(path) });
    }

    /** Refusal scores of five samples of each prompt. */
    async scores(prompts: readonly Prompt[]): Promise<Float32Array> {
        const samples = 5;
        const answers = await sampleAnswers(this.#context, prompts, {
            samples,
            maxTokens: 48,
            model: this.#fingerprint,
        });
        const texts = answers.map(({ text }, i) => ({
            question: prompts[Math.floor(i / samples)]?.prompt ?? "",
            answer: text,
        }));
        const verdicts = await judgeAnswers(this.#judge, texts);
        const scores = refusalScores(answers.map((each, i) => ({ ...each, label: verdicts[i]?.label ?? 0 })));
        return Float32Array.from(scores, ({ score }) => score);
    }

    /** The residual stream at the last token of each prompt. */
    rows(prompts: readonly Prompt[]): Promise<Activations> {
        const conversations = prompts.map(({ prompt }) => [{ role: "user", content: prompt }]);
        return captureDataset(this.model, conversations, { rows: "last-prompt", threads: 1 });
    }

    /** Greedy answers under steering, by set. */
    async rates(
        prompts: readonly Prompt[],
        steer?: (sequence: Sequence) => void,
    ): Promise<Partial<Record<PromptSet, Rates>>> {
        const steering = steer === undefined ? {} : { steering: { key: `${this.#steerings++}`, apply: steer } };
        const options = { samples: 1, temperature: 0, maxTokens: 48, ...steering };
        const answers = await sampleAnswers(this.#context, prompts, options);
        const texts = answers.map(({ text }, i) => ({ question: prompts[i]?.prompt ?? "", answer: text }));
        const verdicts = await judgeAnswers(this.#judge, texts);
        const all = prompts.map(({ set, key = "" }, i) => ({
            set,
            refused: (verdicts[i]?.label ?? 0) > 0,
            right: answers[i]?.text.includes(key) ?? false,
        }));
        const sets = [...new Set(prompts.map(({ set }) => set))];
        return Object.fromEntries(
            sets.map((set) => {
                const of = all.filter((each) => each.set === set);
                const released = of.filter(({ refused }) => !refused);
                const share = (list: typeof of, holds: (each: (typeof of)[number]) => boolean): number =>
                    list.length === 0 ? 1 : list.filter(holds).length / list.length;
                return [
                    set,
                    {
                        refused: share(of, ({ refused }) => refused),
                        right: share(of, ({ right }) => right),
                        releasedRight: share(released, ({ right }) => right),
                    },
                ];
            }),
        );
    }

    async [Symbol.asyncDispose](): Promise<void> {
        await this.#judge.dispose();
        await this.#context.dispose();
        await this.model.dispose();
    }
}

/** The rows of some prompts, as `fitDirection` takes them. */
export function packedRows(rows: Activations, all: readonly Prompt[], some: readonly Prompt[]): Float32Array {
    const { layers, width } = rows;
    const packed = new Float32Array(layers.length * some.length * width);
    const indices = some.map((prompt) => all.indexOf(prompt));
    layers.forEach((layer, slot) => {
        indices.forEach((row, i) => {
            packed.set(rows.row(layer, row), (slot * some.length + i) * width);
        });
    });
    return packed;
}
