// Running commands, with their output kept in a log and their progress on one line.

import { spawn, spawnSync } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { BuildError, displayed, root } from "./project.mjs";

const keptLines = 40;

/** Whether a command can be started at all. */
export function available(command, args = ["--version"]) {
    return spawnSync(command, args, { stdio: "ignore" }).error === undefined;
}

/** First line a command prints, or undefined where it is missing. */
export function firstLine(command, args) {
    const { error, stdout } = spawnSync(command, args, { encoding: "utf8" });
    return error === undefined ? stdout.split("\n")[0] : undefined;
}

/**
 * Runs a command with its output in `log`. Lines like `[ 42%]` or `[12/90]` are shown as progress on
 * `stream`.
 * @throws BuildError with the end of the output, or its errors where a compiler reported some.
 */
export async function runLogged(
    command,
    args,
    { log, title, cwd = root, env = process.env, append = false, stream = process.stdout },
) {
    mkdirSync(dirname(log), { recursive: true });
    const file = createWriteStream(log, { flags: append ? "a" : "w" });
    file.write(`> ${[command, ...args].join(" ")}\n`);
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const progress = new Progress(title, stream);
    const kept = [];
    const errors = [];
    const read = (stream) => {
        const lines = createInterface({ input: stream });
        lines.on("line", (line) => {
            file.write(`${line}\n`);
            progress.feed(line);
            kept.push(line);
            if (kept.length > keptLines) {
                kept.shift();
            }
            if (
                errors.length < keptLines &&
                (errors.length > 0 || /\berror\b.*:|CMake Error|undefined reference/i.test(line))
            ) {
                errors.push(line);
            }
        });
        return new Promise((done) => lines.once("close", done));
    };
    const reading = [read(child.stdout), read(child.stderr)];
    const code = await new Promise((done) => {
        child.once("error", (error) => {
            kept.push(error.message);
            done(127);
        });
        child.once("close", done);
    });
    await Promise.all(reading);
    progress.end();
    await new Promise((done) => file.end(done));
    if (code !== 0) {
        const shown = errors.length > 0 ? errors : kept;
        throw new BuildError(`${shown.join("\n")}\n\n${title} failed (the whole output is in ${displayed(log)}).`);
    }
}

class Progress {
    #title;
    #stream;
    #terminal;
    #shown = -1;
    #started = Date.now();

    constructor(title, stream) {
        this.#title = title;
        this.#stream = stream;
        this.#terminal = stream.isTTY === true;
        stream.write(this.#terminal ? `${title} ...` : `${title} ...\n`);
    }

    feed(line) {
        const match = /^\[\s*(\d+)(?:%|\/(\d+))\]/.exec(line);
        if (match === null) {
            return;
        }
        const percent = Math.floor(
            match[2] === undefined ? Number(match[1]) : (100 * Number(match[1])) / Number(match[2]),
        );
        const step = this.#terminal ? 1 : 20;
        if (percent < this.#shown + step || (this.#shown < 0 && percent < step)) {
            return;
        }
        this.#shown = percent - (percent % step);
        this.#stream.write(this.#terminal ? `\r${this.#title} ... ${percent}%` : `${this.#title} ... ${percent}%\n`);
    }

    end() {
        const seconds = ((Date.now() - this.#started) / 1000).toFixed(1);
        this.#stream.write(
            this.#terminal ? `\r${this.#title} ... ${seconds} s   \n` : `${this.#title} ... ${seconds} s\n`,
        );
    }
}
