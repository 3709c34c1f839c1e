#!/usr/bin/env node
import { failureOf, reportFailure } from "./failure.js";
import { Output } from "./output.js";

const args = process.argv.slice(2);
try {
    // Where there is no addon for this machine, nothing of the package can be imported, and that is told as other errors are.
    const { runProgram } = await import("./program.js");
    await runProgram(args);
} catch (error) {
    process.exitCode = 1;
    reportFailure(new Output({ json: args.includes("--json"), quiet: false }), failureOf(error));
}
