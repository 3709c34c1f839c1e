import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addChat } from "./chat.js";
import { usageStatus } from "./command.js";
import { addEval } from "./eval.js";
import { reportFailure } from "./failure.js";
import { addFit } from "./fit.js";
import { addInspect } from "./inspect.js";
import { addJudgeCheck } from "./judge-check.js";
import { Output } from "./output.js";
import { addReport } from "./report.js";
import { addServe } from "./serve.js";
import { addVectorConvert } from "./vector-convert.js";
import { addVectorShow } from "./vector-show.js";

const introduction =
    "Finds the direction along which a language model refuses, and steers it there: Refusal Steering (arXiv 2512.16602) " +
    "on GGUF models.";

const examples = `
Examples:
  $ llama-steer inspect model.gguf
  $ llama-steer fit --model model.gguf --prompts prompts.jsonl --judge judge.gguf --out vector.gguf
  $ llama-steer eval --model model.gguf --vector vector.gguf --prompts prompts.jsonl --judge judge.gguf
  $ llama-steer chat --model model.gguf --vector vector.gguf
  $ llama-steer serve --model model.gguf --vector open=vector.gguf

Every command has --help with examples, --json for one object on standard output, and --quiet.
Exit status: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C.`;

/** The whole command line. Writes nothing and ends nothing by itself but help and version. */
export function makeProgram(): Command {
    const program = new Command("llama-steer")
        .description(introduction)
        .version(packageVersion(), "--version", "print the version")
        .helpOption("--help", "print this help")
        .helpCommand(false)
        .exitOverride()
        // Errors are told by runProgram, in one form with all others.
        .configureOutput({ outputError: () => {} })
        .addHelpText("after", examples);
    addInspect(program);
    addFit(program);
    addEval(program);
    addChat(program);
    addServe(program);
    addReport(program);
    const vector = program.command("vector").description("look into vector files, and change their format");
    addVectorShow(vector);
    addVectorConvert(vector);
    addJudgeCheck(program.command("judge").description("measure a judge"));
    return program;
}

/** Runs one command line; the exit status is in `process.exitCode`. */
export async function runProgram(args: readonly string[]): Promise<void> {
    const output = new Output({ json: args.includes("--json"), quiet: args.includes("--quiet") });
    try {
        await makeProgram().parseAsync([...args], { from: "user" });
    } catch (error) {
        if (!(error instanceof CommanderError)) {
            throw error;
        }
        // Help that was asked for is no error.
        if (error.exitCode !== 0) {
            process.exitCode = usageStatus;
            reportFailure(output, { code: "INVALID_ARGUMENT", message: usageMessage(error) });
        }
    }
}

/** Without a command, help was printed already, and is the message. */
function usageMessage(error: CommanderError): string {
    return error.code === "commander.help" ? "no command was given" : error.message.replace(/^error: /, "");
}

function packageVersion(): string {
    const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    return (JSON.parse(manifest) as { version: string }).version;
}
