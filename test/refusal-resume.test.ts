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
}

/** When a run is killed: so many milliseconds after it has told of so many finished items, however fast the machine is. */
interface Moment {
    items: number;
    milliseconds: number;
}

/** Starts or resumes a run, and kills it at a moment if it comes to that. */
function attempt(directory: string, moment?: Moment): Promise<Outcome> {
    const child = spawn(process.execPath, [inRepository("test/fixtures/refusal-run.mjs"), directory, "12"], {
        cwd: repository,
        stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    let timer: NodeJS.Timeout | undefined;
    child.stdout.on("data", (chunk) => {
        output += chunk;
        // The first line says that the models are loaded.
        if (moment !== undefined && timer === undefined && output.split("\n").length - 2 >= moment.items) {
            timer = setTimeout(() => child.kill("SIGKILL"), moment.milliseconds);
        }
    });
    return new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code, signal) => {
            clearTimeout(timer);
            if (code !== 0 && signal !== "SIGKILL") {
                reject(new Error(`the run ended with ${code}: ${output}`));
            }
            resolve({ lines: output.trim().split("\n"), killed: signal === "SIGKILL" });
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
            const items = Math.floor(0.7 * random() * whole.lines.length);
            outcome = await attempt(directory, kills < 20 ? { items, milliseconds: 20 * random() } : undefined);
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
