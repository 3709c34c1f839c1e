import { checkObject, checkString, describe } from "./check.js";
import { Model } from "./model.js";
import { native } from "./native.js";
import { runTask } from "./run-task.js";
import { SteerError } from "./steer-error.js";

export interface LoadModelOptions {
    /** Layers to put on a GPU, where the addon was built for one; `"all"` for the whole model. Default 0. */
    gpuLayers?: number | "all";
    /** Called with a fraction in 0..1 while the file is read. */
    onProgress?: (fraction: number) => void;
    /** Stops the loading. */
    signal?: AbortSignal;
}

/**
 * Loads a GGUF model, on a thread of its own.
 *
 * @param path of the .gguf file (of the first, where a model is split)
 * @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE, MODEL_INVALID, MODEL_UNSUPPORTED, OUT_OF_MEMORY, ABORTED,
 *   INVALID_ARGUMENT
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<Model> {
    checkString(path, "path");
    if (path.includes("\0")) {
        throw new SteerError("INVALID_ARGUMENT", "path holds a null character, which no file name has");
    }
    checkObject(options, "options");
    const { gpuLayers = 0, onProgress, signal } = options;
    if (gpuLayers !== "all" && (!Number.isInteger(gpuLayers) || gpuLayers < 0)) {
        throw new SteerError("INVALID_ARGUMENT", `gpuLayers must be 0 or more, or "all", not ${describe(gpuLayers)}`);
    }
    const settings = { gpuLayers: gpuLayers === "all" ? -1 : gpuLayers };
    const loaded = await runTask(() => native.loadModel(path, settings, onProgress), signal);
    return new Model(loaded, gpuLayers !== 0);
}
