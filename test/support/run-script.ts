import { type ChildProcess, spawn } from "node:child_process";
import { repository } from "./paths.js";

export interface ScriptOutcome {
    code: number | null;
    signal: NodeJS.Signals | null;
    stdout: string;
    stderr: string;
}

/**
 * Runs an ES module in a Node process of its own, in the repository's folder, so that it can import `llama-steer`, and
 * waits until it ends by itself; one that does not is killed, which the outcome's signal tells. `flags` are Node's own,
 * `environment` is added to this process's.
 */
export function runScript(
    source: string,
    args: readonly string[] = [],
    limitMilliseconds = 60_000,
    flags: readonly string[] = [],
    environment: Readonly<Record<string, string>> = {},
): Promise<ScriptOutcome> {
    return outcomeOf(
        spawn(process.execPath, [...flags, "--input-type=module", "--eval", source, "--", ...args], {
            cwd: repository,
            env: { ...process.env, ...environment },
            stdio: ["ignore", "pipe", "pipe"],
            timeout: limitMilliseconds,
            killSignal: "SIGKILL",
        }),
    );
}

/** Waits for a process to end. */
export function outcomeOf(child: ChildProcess): Promise<ScriptOutcome> {
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk) => {
        stdout += chunk;
    });
    child.stderr?.on("data", (chunk) => {
        stderr += chunk;
    });
    return new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
    });
}
