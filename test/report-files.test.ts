import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { RunDirectory, readReport, renderReport, writeReport } from "llama-steer/refusal";
import { expectCode } from "./support/expect-code.js";
import { madeReport } from "./support/made-report.js";
import { repository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();
let places = 0;
const place = (): string => join(folder.path, `run-${places++}`);
const small = () => madeReport({ layers: 2, prompts: 12, tokens: ["all"], lambdas: [1], strengths: [-1] });

test("a report is written beside what the run holds, and read again", async (t) => {
    const directory = place();
    RunDirectory.open(directory).close();
    const report = small();
    const paths = await writeReport(directory, report);
    t.deepEqual(paths, { json: join(directory, "report.json"), html: join(directory, "report.html") });
    t.deepEqual(readdirSync(directory).sort(), ["report.html", "report.json", "run.json"]);
    t.deepEqual(await readReport(directory), report);
    t.deepEqual(await readReport(paths.json), report);
    t.is(readFileSync(paths.html, "utf8"), await renderReport(report));
    t.notThrows(() => RunDirectory.open(directory).close(), "it is a run's directory as before");
    const other = { ...report, judge: "another" };
    await writeReport(directory, other);
    t.deepEqual(await readReport(directory), other);
    t.is(readdirSync(directory).length, 3);
});

test("a directory is made for it", async (t) => {
    const directory = join(place(), "deep", "er");
    await writeReport(directory, small());
    t.deepEqual(await readReport(directory), small());
});

test("where no run was finished, it is said what to do", async (t) => {
    const empty = place();
    mkdirSync(empty);
    for (const path of [empty, join(empty, "report.json"), join(empty, "not", "there")]) {
        await expectCode(t, "FILE_NOT_FOUND", () => readReport(path), /run fit to its end first/);
    }
    const file = folder.write("a-file", "x");
    await expectCode(t, "FILE_NOT_FOUND", () => readReport(join(file, "report.json")), /run fit/);
});

test("what is damaged is told with its file and key", async (t) => {
    const directory = place();
    const { json } = await writeReport(directory, small());
    const text = readFileSync(json, "utf8");
    const damaged: [string, RegExp][] = [
        [text.slice(0, -20), /report\.json is not JSON: .*Run fit again/],
        ["", /is not JSON/],
        ["[]", /report\.json is not a report of this version/],
        ["null", /is not a report of this version/],
        [text.replace('"version": 1', '"version": 2'), /version/],
        [text.replace('"llama-steer-report"', '"other"'), /format/],
        [text.replace('"chosen": ', '"chosen": 99'), /chosen: there is no candidate 99/],
        [text.replace('"refusalRate": ', '"refusalRate": null, "was": '), /refusalRate/],
        [text.replace(/"stages": \[[^\]]*\]/, '"stages": 3'), /stages/],
    ];
    for (const [content, message] of damaged) {
        t.not(content, text);
        writeFileSync(json, content);
        await expectCode(t, "DATA_DAMAGED", () => readReport(directory), message);
    }
    rmSync(json);
    mkdirSync(json);
    await expectCode(t, "FILE_UNREADABLE", () => readReport(directory), /report\.json cannot be read/);
});

test("wrong arguments are refused, and nothing is written", async (t) => {
    const directory = place();
    for (const path of [undefined, null, 3, "", "a\0b", {}]) {
        await expectCode(t, "INVALID_ARGUMENT", () => readReport(path as never), /^path: /);
        await expectCode(t, "INVALID_ARGUMENT", () => writeReport(path as never, small()), /^directory: /);
    }
    const wrong = [{ ...small(), chosen: 99 }, { ...small(), created: Number.NaN as never }, undefined as never];
    for (const report of wrong) {
        await expectCode(t, "INVALID_ARGUMENT", () => writeReport(directory, report), /^report: /);
    }
    await expectCode(t, "FILE_NOT_FOUND", () => readReport(directory));
});

test("what cannot be written leaves the report that was there", async (t) => {
    const file = folder.write("in-the-way", "x");
    await expectCode(t, "FILE_WRITE_FAILED", () => writeReport(file, small()), /in-the-way cannot be made/);
    const taken = place();
    mkdirSync(join(taken, "report.html"), { recursive: true });
    await expectCode(t, "FILE_WRITE_FAILED", () => writeReport(taken, small()), /report\.html cannot be written/);
    t.deepEqual(readdirSync(taken).sort(), ["report.html", "report.json"], "nothing half-written is left beside it");

    const directory = place();
    const { json, html } = await writeReport(directory, small());
    const before = [json, html].map((path) => readFileSync(path, "utf8"));
    const script = `import { readReport, writeReport } from "llama-steer/refusal";
        const directory = process.argv.at(-1);
        const report = await readReport(directory);
        await writeReport(directory, { ...report, judge: "another" }).catch((error) => console.log(error.code));`;
    const args = [process.execPath, "--input-type=module", "--eval", script, "--", directory];
    const { stdout, stderr } = spawnSync("sh", ["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh", ...args], {
        cwd: repository,
        encoding: "utf8",
    });
    t.is(stdout.trim(), "FILE_WRITE_FAILED", stderr);
    t.deepEqual(
        [json, html].map((path) => readFileSync(path, "utf8")),
        before,
    );
    t.deepEqual(readdirSync(directory).sort(), ["report.html", "report.json"]);
});

test("a reader never sees half a report", async (t) => {
    const directory = place();
    const reports = ["one", "two"].map((judge) => ({ ...small(), judge }));
    await writeReport(directory, reports[0] as never);
    let writing = true;
    const write = async (): Promise<void> => {
        for (let i = 0; i < 4; i++) {
            await writeReport(directory, reports[i % 2] as never);
        }
        writing = false;
    };
    const read = async (): Promise<number> => {
        let count = 0;
        for (; writing; count++) {
            const { judge } = await readReport(directory);
            t.true(judge === "one" || judge === "two");
            await new Promise((resolve) => setTimeout(resolve, 1));
        }
        return count;
    };
    const [, count] = await Promise.all([write(), read()]);
    t.true(count > 4, String(count));
});

test("a link to a run's directory is followed", async (t) => {
    const directory = place();
    await writeReport(directory, small());
    const link = place();
    symlinkSync(directory, link);
    t.deepEqual(await readReport(link), small());
});
