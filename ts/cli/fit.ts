import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import type { Command } from "commander";
import { SteerError, type SteeringVector, saveVector } from "../index.js";
import { fitRefusal, RunDirectory, type RunReport, readPrompts, writeReport } from "../refusal/index.js";
import { type AnswererOptions, answererOf, withAnswererOptions } from "./answerer-options.js";
import { type CommandRun, command, runs } from "./command.js";
import { UsageError } from "./failure.js";
import { checkJudgeOptions, type JudgeOptions, openJudge, withJudgeOptions } from "./judge-options.js";
import { type ModelOptions, openModel, withModelOptions } from "./model-options.js";
import { percent } from "./numbers.js";
import { oneOf, share, text, whole } from "./option-values.js";
import { type AnswerOptions, promptFiles, withAnswerOptions } from "./prompt-options.js";
import { ratesTable, releasedLine } from "./rates-table.js";
import { commandLine } from "./shell.js";
import { list, table } from "./table.js";

interface FitOptions extends ModelOptions, JudgeOptions, AnswerOptions, AnswererOptions {
    samples?: number;
    seed?: number;
    induce?: boolean;
    run?: string;
    out?: string;
    search?: "grid" | "efficient";
    operation?: "add" | "clamp";
    preserveKept?: number;
    neutralLoss?: number;
    releasedRight?: number;
}

export function addFit(program: Command): void {
    const target = command(program, "fit", "find the direction of refusal, and where and how strongly to steer", [
        "llama-steer fit --model model.gguf --prompts prompts.jsonl --judge judge.gguf --out vector.gguf",
        "llama-steer fit --model model.gguf --prompts target=topic.csv preserve=harmful.csv neutral=others.csv \\\n" +
            "      --judge https://example.org/v1 --judge-model name --judge-key-env JUDGE_KEY --run run",
        "llama-steer fit --model model.gguf --prompts prompts.jsonl --answers http://cluster:8000/v1 \\\n" +
            "      --answers-model name --judge http://cluster:8001/v1 --judge-model judge --out vector.gguf",
        "llama-steer fit --model model.gguf --prompts prompts.jsonl --judge judge.gguf --induce --out silence.gguf",
    ]);
    withJudgeOptions(withAnswererOptions(withAnswerOptions(withModelOptions(target))))
        .option("--samples <n>", "answers sampled of each prompt for its score (default: 5)", whole(1, 1000))
        .option("--seed <n>", "of splits, samples and the search (default: 0)", whole(0))
        .option("--induce", "make target prompts refused, instead of answered")
        .option(
            "--search <how>",
            "of layers, strengths and places: grid or efficient (default)",
            oneOf(["grid", "efficient"]),
        )
        .option("--operation <what>", "add or clamp alone (default: whichever does better)", oneOf(["add", "clamp"]))
        .option("--preserve-kept <share>", "of preserve refusals, what must be left (default: 0.97)", share)
        .option("--neutral-loss <share>", "what the accuracy of neutral prompts may lose (default: 0.01)", share)
        .option("--released-right <share>", "of released answers, what must be right (default: 0.985)", share)
        .option("--run <dir>", "keeps all that is finished; a later run goes on there (default: beside --out)", text)
        .option(
            "--out <file>",
            "the vector, .gguf or .safetensors (default: vector.gguf in the run's directory)",
            text,
        );
    runs<FitOptions>(target, fit);
}

/** Where a fit writes. */
interface FitFiles {
    run: string;
    vector: string;
}

async function fit(run: CommandRun, options: FitOptions): Promise<void> {
    checkJudgeOptions(options);
    const answerer = answererOf(options);
    const { signal, progress, output } = run;
    const files = filesOf(options);
    const prompts = await readPrompts(promptFiles(options.prompts), { seed: options.seed });
    await checkWritable(files.vector);
    using directory = RunDirectory.open(files.run);
    run.onInterrupted(() => `What is finished is kept in ${files.run}, and this goes on with it:\n  ${commandLine()}`);
    await using model = await openModel(run, options.model, options.gpuLayers);
    await using judge = await openJudge(options);
    const { samples, maxTokens, seed, sequences, system, search, threads, operation } = options;
    const { preserveKept, neutralLoss, releasedRight } = options;
    const { vector, report } = await fitRefusal({
        model,
        modelPath: options.model,
        judge,
        answerer,
        prompts,
        goal: options.induce === true ? "induce" : "reduce",
        run: directory,
        search,
        ...(operation === undefined ? {} : { space: { operations: [operation] } }),
        constraints: { preserveKept, neutralLoss, releasedRight },
        samples,
        maxTokens,
        seed,
        sequences,
        system,
        threads,
        signal,
        onEvent: progress.onEvent,
    });
    await saveVector(vector, files.vector, { layout: layoutOf(vector, files.vector) });
    await writeReport(files.run, report);
    progress.pause();
    output.result(report, () => lines(report, files));
}

/**
 * A run that nobody named still has a directory, so that no fit is lost.
 *
 * @throws UsageError
 */
function filesOf({ run, out }: FitOptions): FitFiles {
    if (out !== undefined && !/\.(gguf|safetensors)$/i.test(out)) {
        throw new UsageError(`--out is ${out}: it must end with .gguf or .safetensors`);
    }
    const withoutExtension = out?.slice(0, out.length - extname(out).length);
    const directory = run ?? (withoutExtension === undefined ? "llama-steer-run" : `${withoutExtension}.run`);
    return { run: directory, vector: out ?? join(directory, "vector.gguf") };
}

/**
 * Before hours of work, not after them.
 *
 * @throws SteerError FILE_WRITE_FAILED
 */
async function checkWritable(vector: string): Promise<void> {
    const folder = dirname(resolve(vector));
    try {
        await mkdir(folder, { recursive: true });
        // Permissions do not tell all: full and special file systems show when something is made there.
        await rmdir(await mkdtemp(join(folder, ".llama-steer-")));
    } catch (cause) {
        throw new SteerError("FILE_WRITE_FAILED", `${vector} cannot be written: ${(cause as Error).message}`, {
            cause,
        });
    }
}

/** What llama.cpp cannot steer at, no control vector can hold. */
function layoutOf(vector: SteeringVector, path: string): "own" | undefined {
    return vector.layers[0] === 0 && extname(path).toLowerCase() === ".gguf" ? "own" : undefined;
}

function lines(report: RunReport, files: FitFiles): string[] {
    return [
        ...chosenLines(report),
        "",
        ...evaluationLines(report),
        "",
        ...stageTable(report),
        "",
        ...list([
            ["vector", files.vector],
            ["report", join(files.run, "report.html")],
            ["run", files.run],
        ]),
    ];
}

function evaluationLines({ goal, evaluation: { sets, released } }: RunReport): string[] {
    if (Object.keys(sets).length === 0) {
        return ["not measured: there are no prompts in the split eval"];
    }
    return [...ratesTable(sets), ...(goal === "reduce" ? [releasedLine(released)] : [])];
}

function chosenLines({ candidates, chosen }: RunReport): string[] {
    const found = candidates[chosen];
    if (found === undefined) {
        return [];
    }
    const { method, lambda, preserveMode, operation, layers, strength, tokens, condition, violations } = found;
    return list([
        ["direction", `${method}${lambda === null ? "" : `, lambda ${lambda}`}, preserve ${preserveMode}`],
        ["acts", `${operation} at layers ${layers.join(", ")}, strength ${Number(strength.toPrecision(4))}, ${tokens}`],
        ["condition", condition ?? "always"],
        ["constraints", violations.length === 0 ? "all hold" : `broken: ${violations.join("; ")}`],
        ["tried", `${candidates.length} ways to steer`],
    ]);
}

function stageTable({ stages }: RunReport): string[] {
    return table(
        [
            { head: "stage" },
            { head: "seconds", right: true },
            { head: "items", right: true },
            { head: "found", right: true },
            { head: "batches full", right: true },
        ],
        stages.map(({ name, seconds, items, found, occupancy }) => [
            name,
            seconds.toFixed(1),
            `${items}`,
            `${found}`,
            percent(occupancy),
        ]),
    );
}
