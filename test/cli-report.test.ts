import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { readReport, renderReport, writeReport } from "llama-steer/refusal";
import { madeReport } from "./support/made-report.js";
import { expectFailure, jsonOf, runCli } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();

/** A run's directory with a finished report, but for the page. */
function finishedRun(name: string): string {
    const directory = folder.folder(name);
    writeFileSync(join(directory, "report.json"), JSON.stringify(madeReport()));
    return directory;
}

test("report writes the page of a run, and prints where", async (t) => {
    const directory = finishedRun("plain");
    const page = join(directory, "report.html");
    const { code, stdout, stderr } = await runCli(["report", directory]);
    t.is(code, 0, stderr);
    t.is(stdout, `${page}\n`);
    t.is(readFileSync(page, "utf8"), await renderReport(await readReport(directory)));
});

test("report refreshes a page that is there, and takes the report itself as well", async (t) => {
    const directory = finishedRun("again");
    const { html } = await writeReport(directory, madeReport({ goal: "induce" }));
    const before = readFileSync(html, "utf8");
    writeFileSync(join(directory, "report.json"), JSON.stringify(madeReport()));
    t.deepEqual(await jsonOf(t, ["report", join(directory, "report.json")]), { path: html });
    t.not(readFileSync(html, "utf8"), before);
});

test("report --out writes elsewhere and leaves the run as it is", async (t) => {
    const directory = finishedRun("elsewhere");
    const out = join(folder.path, "page.html");
    t.deepEqual(await jsonOf(t, ["report", directory, "--out", out]), { path: out });
    t.regex(readFileSync(out, "utf8"), /<svg/);
    t.false(existsSync(join(directory, "report.html")));
    const nowhere = ["report", directory, "--out", "/nowhere/at/all.html"];
    await expectFailure(t, nowhere, [1, "FILE_WRITE_FAILED", /nowhere/]);
});

test("report refuses a run that has none, and one that is damaged", async (t) => {
    await expectFailure(t, ["report", "nowhere"], [1, "FILE_NOT_FOUND", /run fit/]);
    const unfinished = folder.folder("unfinished");
    await expectFailure(t, ["report", unfinished], [1, "FILE_NOT_FOUND", /run fit/]);
    writeFileSync(join(unfinished, "report.json"), '{"format":');
    await expectFailure(t, ["report", unfinished], [1, "DATA_DAMAGED", /not JSON/]);
    writeFileSync(join(unfinished, "report.json"), JSON.stringify({ ...madeReport(), chosen: "best" }));
    await expectFailure(t, ["report", unfinished], [1, "DATA_DAMAGED", /chosen/]);
});
