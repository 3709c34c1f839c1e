import type { Command } from "commander";
import { failureOf, reportFailure, UsageError } from "./failure.js";
import { Interrupt } from "./interrupt.js";
import { Output } from "./output.js";
import { Progress } from "./progress.js";

const failedStatus = 1;
export const usageStatus = 2;
const interruptedStatus = 130;

/** What every command is run with. */
export interface CommandRun {
    output: Output;
    progress: Progress;
    /** Aborts with the first Ctrl-C. */
    signal: AbortSignal;
    /** Who listens for it: a command that does so itself ends it first. */
    interrupt: Interrupt;
    /** Says how to go on, where a Ctrl-C left something that can. */
    onInterrupted: (hint: () => string) => void;
}

/** A command with examples behind its help. {@link runs} ends its definition. */
export function command(parent: Command, usage: string, summary: string, examples: readonly string[]): Command {
    return parent
        .command(usage)
        .description(summary)
        .helpOption("--help", "print this help")
        .allowExcessArguments(false)
        .addHelpText("after", `\nExamples:\n${examples.map((each) => `  $ ${each}`).join("\n")}`);
}

/** What a command does, with its options and its arguments. */
type Handler<Options> = (run: CommandRun, options: Options, args: readonly string[]) => Promise<void>;

/**
 * Ends the definition of a command with the options that all have, and with what it does. Whatever it fails with is told here, and decides about the exit
 * status.
 */
export function runs<Options extends object>(target: Command, handler: Handler<Options>): void {
    target
        .option("--json", "print one JSON object, and nothing else, on standard output")
        .option("--quiet", "print no progress")
        .action(async (...values: unknown[]) => {
            const self = values.at(-1) as Command;
            await guarded(self.opts<Options & Common>(), self.args, handler);
        });
}

interface Common {
    json?: boolean;
    quiet?: boolean;
}

async function guarded<Options extends object>(
    options: Options & Common,
    args: readonly string[],
    handler: Handler<Options>,
): Promise<void> {
    const output = new Output({ json: options.json === true, quiet: options.quiet === true });
    const progress = new Progress(output);
    const interrupt = new Interrupt(() => {
        progress.pause();
        output.note("stopping; Ctrl-C once more ends at once");
    });
    let hint: (() => string) | undefined;
    const onInterrupted = (next: () => string): void => {
        hint = next;
    };
    try {
        await handler({ output, progress, signal: interrupt.signal, interrupt, onInterrupted }, options, args);
        progress.pause();
    } catch (error) {
        progress.pause();
        if (interrupt.signal.aborted) {
            process.exitCode = interruptedStatus;
            const message = hint === undefined ? "stopped by Ctrl-C" : `stopped by Ctrl-C. ${hint()}`;
            reportFailure(output, { code: "ABORTED", message });
        } else {
            process.exitCode = error instanceof UsageError ? usageStatus : failedStatus;
            reportFailure(output, failureOf(error));
        }
    } finally {
        interrupt.end();
    }
}
