import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import type { ExecutionContext } from "ava";
import type { SteerErrorCode } from "llama-steer";
import { inRepository, repository } from "./paths.js";
import { outcomeOf, type ScriptOutcome } from "./run-script.js";

export const cliPath = inRepository("dist/cli/main.js");

export interface CliOptions {
    /** Default: the repository. */
    cwd?: string;
    /** What standard input holds; default nothing. */
    input?: string;
    /** Beside this process's own environment, of which no key of a judge is handed on. */
    env?: Record<string, string>;
    limitMilliseconds?: number;
}

/** Starts the built command line, as its user's shell does. One that does not end within its limit is killed. */
export function startCli(args: readonly string[], options: CliOptions = {}): ChildProcessWithoutNullStreams {
    const { OPENAI_API_KEY: _, ...own } = process.env;
    return spawn(process.execPath, [cliPath, ...args], {
        cwd: options.cwd ?? repository,
        env: { ...own, ...options.env },
        timeout: options.limitMilliseconds ?? 120_000,
        killSignal: "SIGKILL",
    });
}

/** Runs the built command line to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<ScriptOutcome> {
    const child = startCli(args, options);
    // One that has ended before it read all of its input is no failure of the test.
    child.stdin.on("error", () => {});
    child.stdin.end(options.input ?? "");
    return outcomeOf(child);
}

/** Runs a command that must succeed, with `--json`, and brings what it prints: one line, one object. */
export async function jsonOf<Result>(
    t: ExecutionContext,
    args: readonly string[],
    options: CliOptions = {},
): Promise<Result> {
    const { code, stdout, stderr } = await runCli([...args, "--json"], options);
    t.is(code, 0, stderr);
    t.regex(stdout, /^\{.*\}\n$/, "one object and nothing else");
    return JSON.parse(stdout) as Result;
}

/**
 * Asserts that a command fails with a status and a code, tells a message that matches on standard error, and the same as
 * an object on standard output with `--json`.
 */
export async function expectFailure(
    t: ExecutionContext,
    args: readonly string[],
    [status, code, message]: readonly [status: number, code: SteerErrorCode, message: RegExp],
    options: CliOptions = {},
): Promise<void> {
    for (const json of [false, true]) {
        const found = await runCli(json ? [...args, "--json"] : args, options);
        t.is(found.code, status, `${args.join(" ")}: ${found.stderr}`);
        const line = found.stderr.split("\n").find((each) => each.startsWith("error "));
        t.true(line?.startsWith(`error ${code}: `), found.stderr);
        t.regex(found.stderr, message);
        if (json) {
            const { error } = JSON.parse(found.stdout) as { error: { code: string; message: string } };
            t.is(error.code, code);
            t.regex(error.message, message);
        } else {
            t.is(found.stdout, "");
        }
    }
}

/** Resolves when a process has written something that matches to standard error, with all it has written. */
export function written(child: ChildProcessWithoutNullStreams, pattern: RegExp): Promise<string> {
    let text = "";
    return new Promise((resolve, reject) => {
        child.stderr.on("data", (chunk) => {
            text += chunk;
            if (pattern.test(text)) {
                resolve(text);
            }
        });
        child.once("close", () => reject(new Error(`it ended and had written: ${text}`)));
    });
}
