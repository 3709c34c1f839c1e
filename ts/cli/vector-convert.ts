import { existsSync } from "node:fs";
import { extname, resolve } from "node:path";
import type { Command } from "commander";
import { type GgufLayout, loadVector, SteerError, saveVector, type VectorDialect } from "../index.js";
import { command, runs } from "./command.js";
import { withDialectOption } from "./model-options.js";
import { ranges } from "./numbers.js";
import { oneOf, text } from "./option-values.js";

interface ConvertOptions {
    to: "gguf" | "safetensors";
    out?: string;
    layout?: GgufLayout;
    dialect?: VectorDialect;
}

export function addVectorConvert(vector: Command): void {
    const target = command(vector, "convert <file>", "write a vector file in another format", [
        "llama-steer vector convert vector.gguf --to safetensors",
        "llama-steer vector convert theirs.gguf --dialect repeng --to gguf --out ours.gguf",
    ])
        .requiredOption("--to <format>", "gguf or safetensors", oneOf(["gguf", "safetensors"]))
        .option("--out <file>", "where to (default: beside the file, under its name)", text)
        .option(
            "--layout <name>",
            "of gguf: llama.cpp, or own for what llama.cpp cannot use",
            oneOf(["llama.cpp", "own"]),
        );
    runs<ConvertOptions>(withDialectOption(target), async ({ output }, { to, out, layout, dialect }, [path]) => {
        const from = path as string;
        const written = out ?? besides(from, to);
        const loaded = await loadVector(from, { dialect, as: "any" });
        await saveVector(loaded, written, { format: to, layout });
        const result = { from, path: written, format: to, layers: loaded.layers, hiddenSize: loaded.hiddenSize };
        output.result(result, () => [`${written}: layers ${ranges(loaded.layers)}, ${loaded.hiddenSize} wide`]);
    });
}

/** A name that nobody gave does not replace a file. */
function besides(path: string, format: string): string {
    const extension = extname(path);
    const name = `${extension === "" ? path : path.slice(0, -extension.length)}.${format}`;
    if (resolve(name) === resolve(path) || existsSync(name)) {
        throw new SteerError("INVALID_ARGUMENT", `${name} is there already: say where to write, with --out`);
    }
    return name;
}
