import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

interface Greeting {
    versions: Record<string, string>;
    /** Files of a BLAS that the process has loaded. */
    blas: string[];
}

/** A Python process that stays alive and does one step at a time: bench/support/ridge_sides.py. */
export class PythonSide {
    readonly #process: ChildProcessWithoutNullStreams;
    readonly #lines: AsyncIterator<string>;

    private constructor(
        process: ChildProcessWithoutNullStreams,
        lines: AsyncIterator<string>,
        readonly greeting: Greeting,
    ) {
        this.#process = process;
        this.#lines = lines;
    }

    /** The first of `commands` that runs the script, or what the last one said. */
    static async start(commands: readonly string[], script: string): Promise<PythonSide | string> {
        let failure = "no Python was found";
        for (const command of commands) {
            const child = spawn(command, [script], { stdio: ["pipe", "pipe", "pipe"] });
            child.on("error", () => {});
            child.stdin.on("error", () => {});
            let errors = "";
            child.stderr.setEncoding("utf8").on("data", (text: string) => {
                errors += text;
            });
            const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
            const first = await lines.next();
            if (first.done !== true) {
                return new PythonSide(child, lines, JSON.parse(first.value));
            }
            failure = errors.trim().split("\n").at(-1) || failure;
        }
        return failure;
    }

    /** Features [rows][width] and targets [rows] for the steps to come. */
    async send(rows: number, width: number, features: Float32Array, targets: Float64Array): Promise<void> {
        this.#process.stdin.write(`${JSON.stringify({ do: "data", rows, width })}\n`);
        for (const values of [features, targets]) {
            await this.#write(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
        }
        await this.#answer();
    }

    /** Does one step: its seconds of CPU time, and the coefficients [alphas][width] where they are asked for. */
    async step(
        side: string,
        alphas: readonly number[] = [],
        wanted = false,
    ): Promise<{ seconds: number; coefficients: Float64Array | undefined }> {
        this.#process.stdin.write(`${JSON.stringify({ do: "step", side, alphas, answer: wanted })}\n`);
        const { seconds, coefficients } = await this.#answer();
        const bytes = coefficients === undefined ? undefined : Uint8Array.from(Buffer.from(coefficients, "base64"));
        return { seconds: seconds as number, coefficients: bytes && new Float64Array(bytes.buffer) };
    }

    async stop(): Promise<void> {
        this.#process.stdin.end();
        if (this.#process.exitCode === null) {
            await once(this.#process, "exit");
        }
    }

    async #write(bytes: Buffer): Promise<void> {
        if (!this.#process.stdin.write(bytes)) {
            await once(this.#process.stdin, "drain");
        }
    }

    async #answer(): Promise<{ seconds?: number; coefficients?: string }> {
        const line = await this.#lines.next();
        if (line.done === true) {
            throw new Error("the Python side has ended: run it by hand to see why");
        }
        return JSON.parse(line.value);
    }
}
