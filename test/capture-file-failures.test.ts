import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { CaptureFile, CaptureFileWriter } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { numbered, numberedActivations, numberedDifference } from "./support/numbered-activations.js";
import { inRepository } from "./support/paths.js";
import { runScript } from "./support/run-script.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();
const writerScript = inRepository("test/fixtures/capture-writer.mjs");

/** Every row is as it was appended, to the last byte. */
async function checkFile(t: ExecutionContext, directory: string, complete: boolean): Promise<number> {
    const file = await CaptureFile.open(directory);
    t.is(file.complete, complete);
    t.is(await numberedDifference(file), undefined);
    await file.verify();
    file.dispose();
    return file.rows;
}

/** Starts a writer, kills it after some milliseconds of work, and returns the rows it said were appended. */
async function killedWriter(directory: string, milliseconds: number): Promise<number> {
    const child = spawn(process.execPath, [writerScript, directory, "5", "100000", "20000", "append"], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.on("data", (chunk) => {
        said += chunk;
    });
    await Promise.race([once(child.stdout, "data"), once(child, "close")]);
    await sleep(milliseconds);
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
    return Number(said.trimEnd().split("\n").at(-1));
}

test("a writer killed at any moment leaves every acknowledged row, and another goes on", async (t) => {
    const directory = join(folder.path, "killed");
    let rows = 0;
    for (let round = 0; round < 12; round++) {
        const acknowledged = await killedWriter(directory, Math.random() * 60);
        t.true(acknowledged > rows, `round ${round}: ${acknowledged} after ${rows}`);
        rows = await checkFile(t, directory, false);
        t.true(rows >= acknowledged, `${rows} of ${acknowledged} rows are there`);
    }
    const writer = await CaptureFileWriter.open(directory, { ...numbered, append: true });
    t.is(writer.rows, rows);
    await writer.append(numberedActivations(rows, 3));
    await writer.close();
    t.is(await checkFile(t, directory, true), rows + 3);
});

test("a limit on the size of files is an error, and what was written before stays", async (t) => {
    const directory = join(folder.path, "limited");
    const limited = (shardBytes: number): string => {
        const command = "trap '' XFSZ; ulimit -f 100; exec \"$@\"";
        const args = [process.execPath, writerScript, directory, "200", "3", String(shardBytes), "append"];
        return spawnSync("sh", ["-c", command, "sh", ...args], { encoding: "utf8" }).stdout;
    };
    if (process.platform === "win32") {
        t.log("skipped: there are no such limits here");
        t.pass();
        return;
    }
    t.is(limited(20_000).trim(), "200\n400\n600\nclosed");
    t.regex(limited(10_000_000), /^FILE_WRITE_FAILED\n.*use smaller shards/);
    t.is(await checkFile(t, directory, true), 600, "as it was closed");
    t.is(limited(20_000).trim(), "800\n1000\n1200\nclosed");
    t.is(await checkFile(t, directory, true), 1200);
});

/** A file system of `kilobytes`; undefined, with a message, where that takes rights that we lack. */
function smallDisk(t: ExecutionContext, kilobytes: number): string | undefined {
    const path = join(folder.path, `disk-${kilobytes}`);
    mkdirSync(path);
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${kilobytes}k`, "tmpfs", path]);
    if (status !== 0) {
        t.log("skipped: no file system may be mounted here");
        t.pass();
        return undefined;
    }
    t.teardown(() => spawnSync("umount", ["-l", path]));
    return path;
}

test("a full disk is an error, keeps what is there, and the writer goes on once there is room", async (t) => {
    const disk = smallDisk(t, 400);
    if (disk === undefined) {
        return;
    }
    const ballast = join(disk, "ballast");
    writeFileSync(ballast, Buffer.alloc(200_000));
    const directory = join(disk, "capture");
    const writer = await CaptureFileWriter.open(directory, { ...numbered, shardBytes: 60_000 });
    const fill = async (): Promise<void> => {
        for (;;) {
            await writer.append(numberedActivations(writer.rows, 30));
        }
    };
    await expectCode(t, "FILE_WRITE_FAILED", fill, /No space left.*make room/);
    const rows = writer.rows;
    t.true(rows >= 300, `${rows} rows fit`);
    await expectCode(t, "FILE_WRITE_FAILED", fill);
    t.is(writer.rows, rows);
    t.is(await checkFile(t, directory, false), rows);
    rmSync(ballast);
    await writer.append(numberedActivations(rows, 100));
    await writer.close();
    t.is(await checkFile(t, directory, true), rows + 100);
});

test("a disk without room to close leaves the capture as if its writer had been killed", async (t) => {
    const disk = smallDisk(t, 401);
    if (disk === undefined) {
        return;
    }
    const directory = join(disk, "capture");
    const writer = await CaptureFileWriter.open(directory, { ...numbered, shardBytes: 2_000_000 });
    const appendUntilFull = async (): Promise<void> => {
        for (;;) {
            await writer.append(numberedActivations(writer.rows, 10));
        }
    };
    await expectCode(t, "FILE_WRITE_FAILED", () => CaptureFileWriter.open(join(disk, "other"), numbered));
    t.is(writer.rows, 0);
    await expectCode(t, "FILE_WRITE_FAILED", appendUntilFull);
    await expectCode(t, "FILE_WRITE_FAILED", () => writer.close());
    t.is(await checkFile(t, directory, false), writer.rows);
    spawnSync("mount", ["-o", "remount,size=4m", disk]);
    const again = await CaptureFileWriter.open(directory, { ...numbered, append: true });
    await again.close();
    t.is(await checkFile(t, directory, true), writer.rows);
});

test("a writer and a file that are forgotten, or a process that exits in mid-append, do no harm", async (t) => {
    const directory = join(folder.path, "forgotten");
    const outcome = await runScript(
        `import { CaptureFileWriter } from "llama-steer";
         import { numbered, numberedActivations } from "./dist-test/support/numbered-activations.js";
         const writer = await CaptureFileWriter.open(${JSON.stringify(directory)}, numbered);
         await writer.append(numberedActivations(0, 10));
         for (let i = 1; i < 200; i++) writer.append(numberedActivations(10 * i, 10));
         process.exit(0);`,
    );
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
    t.true((await checkFile(t, directory, false)) >= 10);
});

test("memory does not grow with the size of the file", async (t) => {
    const outcome = await runScript(
        `import { CaptureFile, CaptureFileWriter } from "llama-steer";
         import { numbered, numberedActivations } from "./dist-test/support/numbered-activations.js";
         const directory = ${JSON.stringify(join(folder.path, "large"))};
         const width = 2048;
         const rows = numberedActivations(0, 128, width);
         const writer = await CaptureFileWriter.open(directory, { ...numbered, width, shardBytes: 2 ** 23 });
         const into = new Float32Array(new SharedArrayBuffer(4 * 3 * 128 * width));
         let before = 0;
         for (let i = 0; i < 80; i++) {
             await writer.append(rows);
             before = i === 9 ? process.memoryUsage().rss : before;
         }
         await writer.close();
         const file = await CaptureFile.open(directory);
         for (let from = 0; from < file.rows; from += 128) await file.read({ from, to: from + 128, into });
         await file.verify();
         console.log(file.rows * 3 * width * 4 / 2 ** 20, (process.memoryUsage().rss - before) / 2 ** 20);`,
    );
    t.deepEqual([outcome.code, outcome.signal, outcome.stderr], [0, null, ""]);
    const [written, growth] = outcome.stdout.split(" ").map(Number) as [number, number];
    t.log(`${written} MiB written and read, ${growth.toFixed(1)} MiB more in memory`);
    t.true(written >= 240 && growth < 60);
});
