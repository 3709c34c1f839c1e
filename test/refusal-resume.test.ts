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
    const child = spawn(process.execPath, [inRepository("test/fixtures/refusal-run.mjs"), directory, "20"], {
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

const computed = (lines: readonly string[]): string[] => lines.filter((each) => /^(answer|verdict) /.test(each));
const hashOf = (lines: readonly string[]): string | undefined => lines.find((each) => each.startsWith("done "));
const keysOf = (path: string): string[] =>
    readFileSync(path, "utf8")
        .trim()
        .split("\n")
        .map((each) => JSON.parse(each).key as string);

test("killed at twenty random moments, runs end with the same results, and nothing is computed twice", async (t) => {
    // Some thirty processes, one after the other.
    t.timeout(600_000);
    const whole = await attempt(`${folder.path}/whole`);
    t.is(computed(whole.lines).filter((each) => each.startsWith("answer")).length, 2 * Math.ceil(1392 / 20));
    t.true(computed(whole.lines).some((each) => each.startsWith("verdict")));
    const random = randomNumbers(20);
    const killedIn = new Set<string>();
    let kills = 0;
    for (let run = 0; kills < 20; run++) {
        const directory = `${folder.path}/killed-${run}`;
        const all: string[] = [];
        let outcome: Outcome;
        do {
            outcome = await attempt(directory, kills < 20 ? 0.6 * random() * whole.milliseconds : undefined);
            all.push(...computed(outcome.lines));
            kills += outcome.killed ? 1 : 0;
            if (outcome.killed) {
                killedIn.add(outcome.lines.at(-1)?.split(" ")[0] ?? "");
            }
        } while (outcome.killed);
        t.is(hashOf(outcome.lines), hashOf(whole.lines), `run ${run}`);
        t.is(new Set(all).size, all.length, "nothing was computed twice");
        for (const name of ["answers", "verdicts"]) {
            const keys = keysOf(`${directory}/${name}.jsonl`);
            t.deepEqual(keys, keysOf(`${folder.path}/whole/${name}.jsonl`), "each is written once, in the same order");
        }
    }
    t.true(killedIn.has("answer"), "while answering");
    t.log(`${kills} kills, the last line before them: ${[...killedIn].join(", ")}`);
});
