/** Whether something of a stream is no longer read by anybody, as behind `| head`. */
const isClosed = (error: NodeJS.ErrnoException): boolean => error.code === "EPIPE" || error.code === "EOF";

let guarded = false;

/** Where a command writes: its result to standard output, all else to standard error. */
export class Output {
    /** One JSON object is the whole of standard output. */
    readonly json: boolean;
    /** Nothing but errors on standard error. */
    readonly quiet: boolean;

    constructor({ json, quiet }: { json: boolean; quiet: boolean }) {
        this.json = json;
        this.quiet = quiet;
        guardStreams();
    }

    /** The result: as JSON, or in words. */
    result(value: unknown, lines: () => readonly string[]): void {
        this.write(this.json ? `${JSON.stringify(value)}\n` : `${lines().join("\n")}\n`);
    }

    /** Text for standard output as it is. */
    write(text: string): void {
        process.stdout.write(text);
    }

    /** A line for people, beside the result. */
    note(text: string): void {
        if (!this.quiet) {
            process.stderr.write(`${text}\n`);
        }
    }

    /** A line that is wanted even where nothing else is. */
    error(text: string): void {
        process.stderr.write(`${text}\n`);
    }
}

/** A reader that went away ends the program without a word, as it does with other programs. */
function guardStreams(): void {
    if (guarded) {
        return;
    }
    guarded = true;
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
        if (!isClosed(error)) {
            throw error;
        }
        process.exit();
    });
    process.stderr.on("error", (error: NodeJS.ErrnoException) => {
        if (!isClosed(error)) {
            throw error;
        }
    });
}
