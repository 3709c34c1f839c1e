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
    return outcome(
        spawn(process.execPath, [...flags, "--input-type=module", "--eval", source, "--", ...args], {
            cwd: repository,
            env: { ...process.env, ...environment },
            stdio: ["ignore", "pipe", "pipe"],
        }),
        limitMilliseconds,
    );
}

/** Waits for a process; one that does not end within the limit is killed. */
export function outcome(child: ChildProcess, limitMilliseconds: number): Promise<ScriptOutcome> {
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk) => {
        stdout += chunk;
    });
    child.stderr?.on("data", (chunk) => {
        stderr += chunk;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), limitMilliseconds);
    return new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code, signal) => {
            clearTimeout(timer);
            resolve({ code, signal, stdout, stderr });
        });
    });
}
