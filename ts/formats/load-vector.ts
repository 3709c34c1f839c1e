import { checkBoolean, checkObject, checkOneOf, describe } from "../check.js";
import { Model } from "../model.js";
import { SteerError } from "../steer-error.js";
import { SteeringVector } from "../steering-vector.js";
import {
    checkedModel,
    checkedName,
    modelDifference,
    type VectorMetadata,
    type VectorModel,
} from "../vector-metadata.js";
import { damaged } from "./byte-reader.js";
import { dialectOf, type Interpretation, interpret, type VectorDialect, vectorDialects } from "./dialects.js";
import { architectureOf, isGguf } from "./gguf-reader.js";
import { describeStranger, readGgufVector } from "./gguf-vector.js";
import { checkPath } from "./path.js";
import { readFileUpTo } from "./read-file.js";
import { readSafetensorsVector } from "./safetensors-vector.js";
import { largestFile, type VectorFile } from "./vector-file.js";

export interface LoadVectorOptions {
    /** Whose convention the numbers of `direction.N` follow. Needed where the file does not tell; the error says so. */
    dialect?: VectorDialect | undefined;
    /** The model that is to be steered: a vector for another one is refused. Default: not looked at. */
    model?: Model | VectorModel | undefined;
    /** Take a vector that was made for another model. Where its width differs, steering refuses it still. Default false. */
    force?: boolean | undefined;
    /**
     * What the vector is to be used for. Default `"add"`: a vector that is for something else is refused, unless it is asked
     * for by its operation, such as `"ablate"`, or by `"any"`. Of a file that does not say, it becomes the operation.
     */
    as?: "any" | VectorMetadata["operation"];
}

/**
 * Reads a steering vector: a GGUF control vector of any of the dialects, or a safetensors file. `docs/vector-files.md` has
 * the formats. Nothing in the file is believed.
 *
 * @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE, DATA_DAMAGED (also a file of another kind), VECTOR_MISMATCH (made
 *   for another model), VECTOR_NOT_ADDITIVE, INVALID_ARGUMENT (also where `dialect` must be given)
 */
export async function loadVector(path: string, options: LoadVectorOptions = {}): Promise<SteeringVector> {
    checkPath(path);
    checkObject(options, "options");
    const { dialect: asked, model, force = false, as = "add" } = options;
    if (asked !== undefined) {
        checkOneOf(asked, vectorDialects, "dialect");
    }
    checkBoolean(force, "force");
    checkedName(as, "as");
    const target = model === undefined ? undefined : targetOf(model);
    const content = await readContent(path);
    const meaning = interpret(content, dialectOf(content, asked));
    const operation = operationOf(meaning, as, path);
    const vector = vectorOf(content, { ...meaning, metadata: { ...meaning.metadata, operation } });
    if (target !== undefined && !force) {
        checkMadeFor(vector, target, path);
    }
    return vector;
}

function targetOf(model: unknown): VectorModel {
    return checkedModel(model instanceof Model ? model.info : model, "model");
}

async function readContent(path: string): Promise<VectorFile> {
    const { bytes, size } = await readFileUpTo(path, largestFile);
    if (size > largestFile) {
        throw damaged(path, describeLarge(bytes, size));
    }
    if (isGguf(bytes)) {
        return readGgufVector(bytes, path);
    }
    // The length of a header comes first, and every header begins so.
    if (bytes[8] !== "{".charCodeAt(0)) {
        throw damaged(path, "neither a GGUF nor a safetensors file");
    }
    return readSafetensorsVector(bytes, path);
}

/** Models are what is most often given by mistake. */
function describeLarge(beginning: Uint8Array, size: number): string {
    const architecture = architectureOf(beginning);
    return architecture === undefined
        ? `${size} bytes, and no vector has more than ${largestFile}`
        : describeStranger(architecture);
}

/** What the vector is for, which must be what it is asked for. */
function operationOf({ metadata, statesOperation }: Interpretation, as: string, file: string): string {
    const stated = statesOperation ? (metadata.operation ?? "add") : undefined;
    if (as === "any" || stated === as || stated === undefined) {
        return stated ?? (as === "any" ? "add" : as);
    }
    if (stated === "add") {
        throw new SteerError("INVALID_ARGUMENT", `${file} is for adding, and as is ${describe(as)}: use as: "any"`);
    }
    throw new SteerError(
        "VECTOR_NOT_ADDITIVE",
        `${file} is for the operation "${stated}" and asked for as ${describe(as)}: load it with as: "${stated}"`,
    );
}

/** The vector of a file; whatever its constructor refuses is the file's fault. */
function vectorOf({ directions, norms, file }: VectorFile, { base, metadata }: Interpretation): SteeringVector {
    const numbers = [...directions.keys()].sort((a, b) => a - b);
    const width = (directions.get(numbers[0] as number) as Float32Array).length;
    const data = new Float32Array(numbers.length * width);
    numbers.forEach((number, row) => {
        data.set(directions.get(number) as Float32Array, row * width);
    });
    try {
        const layers = numbers.map((number) => number - base);
        return new SteeringVector(layers, data, { norms, metadata });
    } catch (cause) {
        throw damaged(file, cause instanceof Error ? cause.message : String(cause), { cause });
    }
}

/** The file knows its model, or at least how wide it is and that it has the layers of the vector. */
function checkMadeFor({ layers, hiddenSize, metadata }: SteeringVector, model: VectorModel, file: string): void {
    const last = layers.at(-1) as number;
    const made = metadata.model ?? {
        architecture: model.architecture,
        layers: Math.max(model.layers, last + 1),
        hiddenSize: metadata.site === "residual" ? hiddenSize : model.hiddenSize,
    };
    const difference = modelDifference(made, model);
    if (difference !== undefined) {
        throw new SteerError(
            "VECTOR_MISMATCH",
            `${file} was made for another model than the one given (${difference}): use one made for it, or force: true`,
        );
    }
}
