import { mkdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { SteerError } from "../../index.js";
import { failure, parsed } from "../parse.js";
import type { RunReport } from "../run-report.js";
import { checkedReport } from "./checked-report.js";
import { renderReport } from "./render-report.js";
import { writeWhole } from "./write-whole.js";

const json = "report.json";
const page = "report.html";

/**
 * Reads what a run found.
 *
 * @param path of the run's directory, or of its `report.json`
 * @throws SteerError FILE_NOT_FOUND where no run was finished there, FILE_UNREADABLE, DATA_DAMAGED naming the key that is wrong,
 *   INVALID_ARGUMENT
 */
export async function readReport(path: string): Promise<RunReport> {
    const given = resolve(parsed(filePath, path, "path"));
    const file = (await isDirectory(given)) ? join(given, json) : given;
    const text = await readText(file);
    let value: unknown;
    try {
        value = JSON.parse(text);
    } catch (cause) {
        throw failure(
            "DATA_DAMAGED",
            `${file} is not JSON: ${(cause as Error).message}. Run fit again to write it`,
            cause,
        );
    }
    const checked = checkedReport(value);
    if ("wrong" in checked) {
        throw new SteerError("DATA_DAMAGED", `${file} is not a report of this version: ${checked.wrong}`);
    }
    return checked.report;
}

/**
 * Writes `report.json` and `report.html` into a directory, which is made where it is not there. Each file is replaced whole
 * or not at all; nothing is written where the report cannot be shown.
 *
 * @returns the paths of both
 * @throws SteerError INVALID_ARGUMENT for what is no report, FILE_WRITE_FAILED
 */
export async function writeReport(directory: string, report: RunReport): Promise<{ json: string; html: string }> {
    const place = resolve(parsed(filePath, directory, "directory"));
    const html = await renderReport(report);
    try {
        await mkdir(place, { recursive: true });
    } catch (cause) {
        throw failure("FILE_WRITE_FAILED", `${place} cannot be made: ${(cause as Error).message}`, cause);
    }
    const paths = { json: join(place, json), html: join(place, page) };
    await writeWhole(paths.json, `${JSON.stringify(report, null, 1)}\n`);
    await writeWhole(paths.html, html);
    return paths;
}

const filePath = z
    .string()
    .min(1)
    .refine((path) => !path.includes("\0"), "must be the name of a file, without null characters");

async function isDirectory(path: string): Promise<boolean> {
    try {
        return (await stat(path)).isDirectory();
    } catch {
        // What is wrong with it is told when it is read.
        return false;
    }
}

async function readText(file: string): Promise<string> {
    try {
        return await readFile(file, "utf8");
    } catch (cause) {
        const { code, message } = cause as NodeJS.ErrnoException;
        throw code === "ENOENT" || code === "ENOTDIR"
            ? failure("FILE_NOT_FOUND", `there is no ${file}: run fit to its end first, which writes it`, cause)
            : failure("FILE_UNREADABLE", `${file} cannot be read: ${message}`, cause);
    }
}
