// Ridge regression against scikit-learn, SciPy and the published way of WRMD, on the same rows and the same BLAS:
//
//   npm run bench -- ridge [--json] [--rounds N] [--only 2000x896,...] [--skip "published 32",...]
//                          [--spectrum decaying|white] [--seconds N]
//
// One target, one thread. The Python sides run in a process of their own that stays alive and does one step at a time;
// ours is the public API. In every round each side does one step, in an order that moves on from round to round; times
// are the CPU time of the process, and a ratio is that of two steps of one round. What a side takes longer than
// --seconds for is run in the first round only, and 32 explicit inverses not at all where one takes more than 4
// seconds. Solutions are compared with those of our float64 factor.
//
// The floor is the least that forming the smaller matrix (syrk) and factoring it (potrf) takes in float64: their
// operations at the rate of NumPy's product of two matrices of order 1024, measured in the same round.

import { readFileSync, realpathSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { PythonSide } from "./support/python-side.js";
import { type RidgeProblem, ridgeProblem } from "./support/ridge-features.js";
import { type FitSettings, ridgePeaks } from "./support/ridge-peaks.js";
import { type Measured, type RidgeGoal, ridgeGoals, ridgeTable } from "./support/ridge-report.js";

const { values } = parseArgs({
    options: {
        json: { type: "boolean", default: false },
        rounds: { type: "string", default: "5" },
        only: { type: "string" },
        skip: { type: "string", default: "" },
        spectrum: { type: "string", default: "decaying" },
        seconds: { type: "string", default: "10" },
    },
});

// Read by the BLAS when it is loaded, here and in the Python process.
for (const name of ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS"]) {
    process.env[name] = "1";
}
const { backend, ridgePath } = await import("llama-steer/ridge");
const spectrum = values.spectrum === "white" ? "white" : "decaying";

const widths = [896, 2560, 4096];
const counts = [300, 2000, 20000];
const shapes =
    values.only === undefined
        ? widths.flatMap((width) => counts.map((rows) => ({ rows, width })))
        : values.only.split(",").map((text) => {
              const [rows = 0, width = 0] = text.split("x").map(Number);
              return { rows, width };
          });

const path = Array.from({ length: 32 }, (_, i) => 10 ** (-2 + (4 * i) / 31));
const least = path[0] as number;

/** One way of solving, with as many lambdas as it solves for. */
interface Side {
    name: string;
    lambdas: readonly number[];
    /** Of ours: how; of a Python side: its name there. */
    options?: Partial<FitSettings>;
    python?: string;
}

const one = [1];
const sides: Side[] = [
    { name: "ours", lambdas: one },
    { name: "ours, least λ of the 32", lambdas: [least] },
    { name: "ours, float64 factor", lambdas: one, options: { method: "matrix", precision: "f64" } },
    { name: "ours, with diagnostics", lambdas: one, options: { diagnostics: true } },
    { name: "ours", lambdas: path },
    { name: "scikit-learn", lambdas: one, python: "scikit-learn" },
    { name: "SciPy", lambdas: one, python: "SciPy" },
    { name: "SciPy", lambdas: path, python: "SciPy" },
    { name: "published", lambdas: one, python: "published" },
    { name: "published", lambdas: path, python: "published" },
];

const script = new URL("../bench/support/ridge_sides.py", import.meta.url).pathname;
const python = await PythonSide.start(["python3", "/usr/bin/python3"], script);
const notes: string[] = [];
if (typeof python === "string") {
    notes.push(`without scikit-learn, SciPy and the floor: install python3-sklearn and python3-scipy (${python})`);
}

const settingsOf = ({ lambdas, options }: Side): FitSettings => ({ lambdas, diagnostics: false, ...options });
const solve = (problem: RidgeProblem, side: Side) => ridgePath({ ...problem, ...settingsOf(side) });

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
}

/** The largest |a - b| / |b| of the lambdas. */
function difference(a: readonly Float64Array[], b: readonly Float64Array[]): number {
    return Math.max(
        ...b.map((expected, i) => {
            const off = expected.reduce((sum, each, j) => sum + (each - (a[i]?.[j] as number)) ** 2, 0);
            return Math.sqrt(off) / Math.hypot(...expected);
        }),
    );
}

async function measured(shape: { rows: number; width: number }): Promise<Measured[]> {
    const skipped = values.skip.split(",");
    const active = sides
        .filter((each) => each.python === undefined || typeof python !== "string")
        .filter((each) => !skipped.includes(`${each.name} ${each.lambdas.length}`));
    const own = active.filter((each) => each.python === undefined);
    const peaks = ridgePeaks({ ...shape, spectrum, fits: own.map(settingsOf) });
    const problem = ridgeProblem(shape.rows, shape.width, spectrum, 7);
    const { rows, width } = problem;
    const exact = await ridgePath({
        ...problem,
        lambdas: [1, ...path],
        diagnostics: false,
        method: "matrix",
        precision: "f64",
    });
    const [ofOne, ...ofPath] = exact.map((each) => each.coefficients) as [Float64Array, ...Float64Array[]];
    const alphas = new Map(exact.map((each, i) => [i === 0 ? 1 : (path[i - 1] as number), each.alpha]));
    const expected = (side: Side) =>
        side.lambdas === path ? ofPath : side.lambdas === one ? [ofOne] : [ofPath[0] as Float64Array];
    if (typeof python !== "string") {
        await python.send(rows, width, problem.features, problem.targets);
    }

    const found = active.map((side): Measured => {
        const { name, lambdas } = side;
        const peakBytes = peaks[own.indexOf(side)] ?? undefined;
        return { ...shape, side: name, lambdas: lambdas.length, seconds: [], gemm: [], peakBytes };
    });
    const step = async (side: Side, into: Measured, first: boolean): Promise<void> => {
        if (side.python === undefined) {
            if (first) {
                const solutions = await solve(problem, side);
                const vectors = solutions.map((each) => each.coefficients);
                into.difference = difference(vectors, expected(side));
                into.solver = `${solutions[0]?.solver} ${solutions[0]?.precision}`;
            }
            into.seconds.push(await secondsOf(() => solve(problem, side)));
            return;
        }
        const given = side.lambdas.map((each) => alphas.get(each) as number);
        const { seconds, coefficients } = await (python as PythonSide).step(side.python, given, first);
        if (coefficients !== undefined) {
            const vectors = given.map((_, i) => coefficients.subarray(i * width, (i + 1) * width));
            into.difference = difference(vectors, expected(side));
        }
        into.seconds.push(seconds);
    };

    for (let round = 0; round < Number(values.rounds); round++) {
        const gemm = typeof python === "string" ? Number.NaN : (await python.step("gemm")).seconds;
        for (let turn = 0; turn < active.length; turn++) {
            const at = (turn + 3 * round) % active.length;
            const into = found[at] as Measured;
            const side = active[at] as Side;
            into.gemm.push(gemm);
            if ((into.seconds[0] ?? 0) > Number(values.seconds) || isTooSlow(side, found)) {
                into.seconds.push(Number.NaN);
            } else {
                await step(side, into, round === 0);
            }
        }
        console.error(`${rows} x ${width}: round ${round + 1} of ${values.rounds}`);
    }
    console.error(`${ridgeTable(found).text}\n`);
    return found;
}

/** 32 inverses by the published way, as one of them lets expect. */
function isTooSlow({ name, lambdas }: Side, found: readonly Measured[]): boolean {
    const single = found.find((each) => each.side === name && each.lambdas === 1)?.seconds[0] ?? 0;
    return name === "published" && lambdas.length > 1 && single > 4;
}

/** Files of a BLAS that this process has loaded, as the Python side tells its own. */
function loadedBlas(): string[] {
    try {
        const files = readFileSync("/proc/self/maps", "utf8").match(/\/\S*blas\S*/g) ?? [];
        return [...new Set(files)].filter((file) => /blas[^/]*$/.test(file)).map((file) => realpathSync(file));
    } catch {
        return [];
    }
}

const all: Measured[] = [];
for (const shape of shapes) {
    all.push(...(await measured(shape)));
}
const versions: Record<string, string> = { node: process.version, backend: backend() };
if (typeof python !== "string") {
    Object.assign(versions, python.greeting.versions);
    const own = loadedBlas();
    const shared = own.some((file) => python.greeting.blas.some((other) => realpathSync(other) === file));
    notes.push(
        shared
            ? `both processes have loaded ${own.join(", ")}`
            : `NOT the same BLAS: ${own.join(", ")} here, ${python.greeting.blas.join(", ")} in Python`,
    );
    await python.stop();
}
const goals: RidgeGoal[] = ridgeGoals(all);
const machine = { processor: cpus()[0]?.model, threads: 1, spectrum };
const { rows, text } = ridgeTable(all);
if (values.json) {
    console.log(JSON.stringify({ machine, versions, notes, rows, goals }, null, 4));
} else {
    console.log(`${JSON.stringify({ ...machine, ...versions })}\n${notes.join("\n")}\n\n${text}\n`);
    for (const { name, value, limit, met } of goals) {
        console.log(`${met ? "met   " : "MISSED"} ${name}: ${value.toPrecision(4)}, limit ${limit}`);
    }
}
