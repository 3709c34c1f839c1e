import type { Command } from "commander";
import { evaluateRefusal, RunDirectory, readPrompts, type Split, splits } from "../refusal/index.js";
import { type AnswererOptions, answererOf, withAnswererOptions } from "./answerer-options.js";
import { type CommandRun, command, runs } from "./command.js";
import { checkJudgeOptions, type JudgeOptions, openJudge, withJudgeOptions } from "./judge-options.js";
import {
    type ModelOptions,
    openModel,
    openVector,
    type VectorOptions,
    withModelOptions,
    withVectorOptions,
} from "./model-options.js";
import { number, oneOf, text, whole } from "./option-values.js";
import { type AnswerOptions, promptFiles, withAnswerOptions } from "./prompt-options.js";
import { ratesTable, releasedLine } from "./rates-table.js";
import { commandLine } from "./shell.js";

interface EvalOptions extends ModelOptions, JudgeOptions, AnswerOptions, AnswererOptions, VectorOptions {
    vector: string;
    strength?: number;
    seed?: number;
    split?: Split;
    run?: string;
}

export function addEval(program: Command): void {
    const target = command(program, "eval", "compare answers with and without steering", [
        "llama-steer eval --model model.gguf --vector vector.gguf --prompts prompts.jsonl --judge judge.gguf",
        "llama-steer eval --model model.gguf --vector vector.gguf --prompts prompts.jsonl --judge judge.gguf \\\n" +
            "      --strength 0.5 --json",
    ]);
    withModelOptions(target)
        .requiredOption("--vector <file>", "what to steer with", text)
        .option("--strength <x>", "times what the vector's file says (default: 1)", number());
    withVectorOptions(withJudgeOptions(withAnswererOptions(withAnswerOptions(target))))
        .option("--seed <n>", "of splits, where prompts have none (default: that of the vector's fit)", whole(0))
        .option("--split <name>", "of the prompts: fit, select or eval (default: eval)", oneOf(splits))
        .option("--run <dir>", "keeps answers and verdicts, and finds earlier ones", text);
    runs<EvalOptions>(target, evaluate);
}

async function evaluate(run: CommandRun, options: EvalOptions): Promise<void> {
    checkJudgeOptions(options);
    const answerer = answererOf(options);
    const { signal, progress, output } = run;
    await using model = await openModel(run, options.model, options.gpuLayers);
    const vector = await openVector(options.vector, model, options.model, options);
    // Prompts that were fitted on are not to be measured on: without splits of their own they are split as for the fit.
    const seed = options.seed ?? vector.metadata.seed;
    const prompts = await readPrompts(promptFiles(options.prompts), { seed });
    using directory = options.run === undefined ? undefined : RunDirectory.open(options.run);
    if (directory !== undefined) {
        run.onInterrupted(
            () => `What is finished is kept in ${options.run}, and this goes on with it:\n  ${commandLine()}`,
        );
    }
    await using judge = await openJudge(options);
    const { maxTokens, sequences, system, threads, strength, split } = options;
    const found = await evaluateRefusal({
        model,
        modelPath: options.model,
        judge,
        answerer,
        prompts,
        vector,
        strength,
        split,
        run: directory,
        maxTokens,
        sequences,
        system,
        threads,
        signal,
        onEvent: progress.onEvent,
    });
    progress.pause();
    const { sets, settings, released } = found;
    output.result({ sets, settings }, () => [
        ...ratesTable(sets),
        ...(vector.metadata.goal === "induce" ? [] : [releasedLine(released)]),
    ]);
}
