import { extname } from "node:path";
import { checkObject, checkOneOf, describe } from "../check.js";
import { SteerError } from "../steer-error.js";
import { SteeringVector } from "../steering-vector.js";
import { type GgufLayout, ggufLayouts, writeGgufVector } from "./gguf-vector.js";
import { checkPath } from "./path.js";
import { writeSafetensorsVector } from "./safetensors-vector.js";
import { largestFile } from "./vector-file.js";
import { writeAtomically } from "./write-atomically.js";

const formats = ["gguf", "safetensors"] as const;

export interface SaveVectorOptions {
    /** Default: what the path ends with. */
    format?: (typeof formats)[number] | undefined;
    /**
     * Of GGUF: `"llama.cpp"` is a control vector for it and all tools that read such files; `"own"` is for llama-steer alone,
     * and refused by llama.cpp, but holds everything. Default: `"llama.cpp"` for what can be added to the residual stream,
     * `"own"` for vectors of other operations and sites.
     */
    layout?: GgufLayout | undefined;
}

/**
 * Writes a vector with its norms and metadata. The file is there whole or not at all; one that was there is replaced.
 *
 * @throws SteerError FILE_WRITE_FAILED, INVALID_ARGUMENT (also where llama.cpp could not use it: a direction of layer 0, or
 *   another site), VECTOR_NOT_ADDITIVE (`layout: "llama.cpp"` for what is not to be added)
 */
export async function saveVector(vector: SteeringVector, path: string, options: SaveVectorOptions = {}): Promise<void> {
    if (!(vector instanceof SteeringVector)) {
        throw new SteerError("INVALID_ARGUMENT", `vector must be a SteeringVector, not ${describe(vector)}`);
    }
    checkPath(path);
    checkObject(options, "options");
    const { format = formatOf(path), layout } = options;
    checkOneOf(format, formats, "format");
    if (layout !== undefined) {
        checkOneOf(layout, ggufLayouts, "layout");
    }
    if (layout !== undefined && format !== "gguf") {
        throw new SteerError("INVALID_ARGUMENT", "layout is for GGUF files; a safetensors file has one layout");
    }
    if (vector.data.byteLength > largestFile / 2) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `the vector has ${vector.data.byteLength} bytes: save some of its layers`,
        );
    }
    await writeAtomically(path, format === "gguf" ? writeGgufVector(vector, layout) : writeSafetensorsVector(vector));
}

function formatOf(path: string): (typeof formats)[number] {
    const format = formats.find((each) => extname(path).toLowerCase() === `.${each}`);
    if (format === undefined) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${path} must end with .gguf or .safetensors, or format must be given`,
        );
    }
    return format;
}
