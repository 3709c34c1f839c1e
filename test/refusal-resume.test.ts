import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import test from "ava";
import { randomNumbers } from "./support/numbers.js";
import { inRepository, repository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();

interface Outcome {
    lines: string[];
    killed: boolean;
    /** From its models being loaded to its end. */
    milliseconds: number;
}

/** Starts or resumes a run, and kills it some time after its models are loaded. */
function attempt(directory: string, killAfter = Number.POSITIVE_INFINITY): Promise<Outcome> {
    const child = spawn(process.execPath, [inRepository("test/fixtures/refusal-run.mjs"), directory, "12"], {
        cwd: repository,
        stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    let ready = 0;
    child.stdout.on("data", (chunk) => {
        output += chunk;
        if (ready === 0 && output.includes("ready")) {
            ready = performance.now();
            if (killAfter !== Number.POSITIVE_INFINITY) {
                setTimeout(() => child.kill("SIGKILL"), killAfter);
            }
        }
    });
    return new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code, signal) => {
            if (code !== 0 && signal !== "SIGKILL") {
                reject(new Error(`the run ended with ${code}: ${output}`));
            }
            const lines = output.trim().split("\n");
            resolve({ lines, killed: signal === "SIGKILL", milliseconds: performance.now() - ready });
        });
    });
}

/** Phases in which answers or verdicts were computed. */
const phasesOf = (lines: readonly string[]): Set<string> =>
    new Set(lines.flatMap((each) => /^(answer|verdict) in (\w+)/.exec(each)?.[2] ?? []));
const hashOf = (lines: readonly string[]): string | undefined => lines.find((each) => each.startsWith("done "));
const keysOf = (path: string): string[] =>
    readFileSync(path, "utf8")
        .trim()
        .split("\n")
        .map((each) => JSON.parse(each).key as string);

test("killed at twenty random moments, fits end with the same vector, and nothing is computed twice", async (t) => {
    // Some thirty processes, one after the other.
    t.timeout(900_000);
    const whole = await attempt(`${folder.path}/whole`);
    t.deepEqual([...phasesOf(whole.lines)], ["sampling", "baseline", "searching", "evaluating"]);
    const random = randomNumbers(20);
    const killedIn = new Set<string>();
    let kills = 0;
    for (let run = 0; kills < 20; run++) {
        const directory = `${folder.path}/killed-${run}`;
        let outcome: Outcome;
        do {
            outcome = await attempt(directory, kills < 20 ? 0.8 * random() * whole.milliseconds : undefined);
            kills += outcome.killed ? 1 : 0;
            if (outcome.killed) {
                killedIn.add(outcome.lines.at(-1)?.split(" ")[2] ?? "");
            }
        } while (outcome.killed);
        t.is(hashOf(outcome.lines), hashOf(whole.lines), `run ${run}`);
        for (const name of ["answers", "verdicts"]) {
            const keys = keysOf(`${directory}/${name}.jsonl`);
            t.is(new Set(keys).size, keys.length, "nothing was computed twice");
            t.deepEqual(keys, keysOf(`${folder.path}/whole/${name}.jsonl`), "each is written once, in the same order");
        }
    }
    t.true(killedIn.has("sampling") && killedIn.has("searching"), "while sampling and while searching");
    t.log(`${kills} kills, in the phases: ${[...killedIn].join(", ")}`);
});
