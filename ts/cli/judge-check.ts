import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { z } from "zod";
import { SteerError } from "../index.js";
import { checkJudge, type JudgeAgreement, type LabelledAnswer, RunDirectory } from "../refusal/index.js";
import { command, runs } from "./command.js";
import { checkJudgeOptions, type JudgeOptions, openJudge, withJudgeOptions } from "./judge-options.js";
import { withDeviceOptions } from "./model-options.js";
import { percent } from "./numbers.js";
import { text } from "./option-values.js";
import { list, table } from "./table.js";

interface CheckOptions extends JudgeOptions {
    examples: string;
    run?: string;
}

export function addJudgeCheck(judge: Command): void {
    const target = command(judge, "check", "measure how a judge agrees with labelled examples", [
        "llama-steer judge check --judge judge.gguf --examples labelled.jsonl",
        "llama-steer judge check --judge http://localhost:8080/v1 --judge-model name --examples labelled.jsonl",
    ]).requiredOption(
        "--examples <jsonl>",
        "lines of { question, answer, refused, kind? }: what each answer is, said by a person or a rule",
        text,
    );
    withDeviceOptions(withJudgeOptions(target)).option("--run <dir>", "keeps verdicts, and finds earlier ones", text);
    runs<CheckOptions>(target, async (run, options) => {
        checkJudgeOptions(options);
        const examples = await readExamples(options.examples);
        using directory = options.run === undefined ? undefined : RunDirectory.open(options.run);
        if (directory !== undefined) {
            run.onInterrupted(() => `Verdicts are kept in ${options.run}: give the same command to go on`);
        }
        await using opened = await openJudge(options);
        const { signal, progress } = run;
        const found = await checkJudge(opened, examples, { run: directory, signal, onEvent: progress.onEvent });
        progress.pause();
        // JSON has no NaN.
        const kappa = Number.isNaN(found.kappa) ? null : found.kappa;
        run.output.result({ ...found, kappa }, () => lines(found));
    });
}

const example = z.object({
    question: z.string(),
    answer: z.string(),
    refused: z.boolean(),
    kind: z.string().optional(),
});

/** @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE, DATA_DAMAGED with the line */
async function readExamples(path: string): Promise<LabelledAnswer[]> {
    const content = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
        const code = cause.code === "ENOENT" ? "FILE_NOT_FOUND" : "FILE_UNREADABLE";
        throw new SteerError(code, `the examples ${path} cannot be read: ${cause.message}`, { cause });
    });
    const examples = content.split("\n").flatMap((line, i) => {
        return line.trim() === "" ? [] : [readExample(line, `${path}, line ${i + 1}`)];
    });
    if (examples.length === 0) {
        throw new SteerError("EMPTY_CLASS", `${path} holds no examples`);
    }
    return examples;
}

function readExample(line: string, place: string): LabelledAnswer {
    let value: unknown;
    try {
        value = JSON.parse(line);
    } catch (cause) {
        throw new SteerError("DATA_DAMAGED", `${place} is not JSON: ${(cause as Error).message}`, { cause });
    }
    const result = example.safeParse(value);
    if (!result.success) {
        const issue = result.error.issues[0];
        const where = issue?.path.map(String).join(".") ?? "";
        throw new SteerError(
            "DATA_DAMAGED",
            `${place} is no { question, answer, refused }: ${where} ${issue?.message}`,
        );
    }
    return result.data;
}

function lines({ n, accuracy, kappa, confusion, byKind }: JudgeAgreement): string[] {
    const verdicts = [
        { head: "refusal", right: true },
        { head: "undecided", right: true },
        { head: "answer", right: true },
    ];
    const cells = (counts: JudgeAgreement["confusion"]["refused"]): string[] =>
        [counts.refusal, counts.neutral, counts.compliance].map(String);
    return [
        ...list([
            ["examples", `${n}`],
            ["accuracy", percent(accuracy)],
            ["Cohen's kappa", Number.isNaN(kappa) ? "-" : kappa.toFixed(3)],
        ]),
        "",
        ...table(
            [{ head: "the example is" }, ...verdicts],
            [
                ["refused", ...cells(confusion.refused)],
                ["answered", ...cells(confusion.answered)],
            ],
        ),
        "",
        ...table(
            [{ head: "kind" }, { head: "n", right: true }, { head: "agrees", right: true }, ...verdicts],
            Object.entries(byKind)
                .sort(([a], [b]) => (a < b ? -1 : 1))
                .map(([kind, each]) => [kind, `${each.n}`, percent(each.agreement), ...cells(each.verdicts)]),
        ),
    ];
}
