import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { SteerError } from "../index.js";
import { readReport, renderReport, writeReport } from "../refusal/index.js";
import { command, runs } from "./command.js";
import { text } from "./option-values.js";

interface ReportOptions {
    out?: string;
}

export function addReport(program: Command): void {
    const target = command(program, "report <dir>", "write the report of a run as one HTML file", [
        "llama-steer report run",
        "llama-steer report run --out refusals.html",
    ]).option("--out <file>", "where to (default: report.html in the run's directory)", text);
    runs<ReportOptions>(target, async ({ output }, { out }, [path]) => {
        // The library takes the report itself as well as its directory.
        const directory = (path as string).endsWith(".json") ? dirname(path as string) : (path as string);
        const report = await readReport(path as string);
        const written = out ?? join(directory, "report.html");
        if (out === undefined) {
            await writeReport(directory, report);
        } else {
            await write(out, await renderReport(report));
        }
        output.result({ path: written }, () => [written]);
    });
}

async function write(path: string, html: string): Promise<void> {
    await writeFile(path, html).catch((cause: Error) => {
        throw new SteerError("FILE_WRITE_FAILED", `${path} cannot be written: ${cause.message}`, { cause });
    });
}
