import type { SteeringVector } from "../steering-vector.js";
import { freeKey, knownMetadataKeys, type VectorMetadata, type VectorModel } from "../vector-metadata.js";
import { damaged } from "./byte-reader.js";
import type { GgufEntry } from "./gguf-writer.js";

// What this package writes beside the numbers, under the same keys in both formats.

/** What a file says of itself; both formats are read through it. */
export interface FileKeys {
    keys(): string[];
    /** Undefined where the key is absent. @throws SteerError DATA_DAMAGED where it holds something else */
    text(key: string): string | undefined;
    number(key: string): number | undefined;
}

/** An entry of metadata: norms are kept apart, since safetensors has them as a tensor. */
export type KeyEntry = Exclude<GgufEntry, { type: "floats" }>;

export const prefix = "llama_steer.";
export const versionKey = `${prefix}version`;
export const normsKey = `${prefix}norms`;
const layerBaseKey = `${prefix}layer_base`;
const extraPrefix = `${prefix}extra.`;
const version = 1;
/** `direction.N` is of block N - layerBase, counted from 0. */
const layerBase = 0;

/** All metadata of a vector. */
export function keyEntries({ metadata }: SteeringVector): KeyEntry[] {
    const { model } = metadata;
    const extra = Object.entries(metadata).filter(([key]) => !knownMetadataKeys.includes(key));
    return [
        { key: versionKey, type: "u32", value: version },
        { key: layerBaseKey, type: "i32", value: layerBase },
        ...textEntry("operation", metadata.operation),
        ...textEntry("site", metadata.site),
        ...textEntry("method", metadata.method),
        ...numberEntry("lambda", "f64", metadata.lambda),
        ...numberEntry("samples", "u64", metadata.samples),
        ...numberEntry("seed", "u64", metadata.seed),
        ...textEntry("model.architecture", model?.architecture),
        ...numberEntry("model.layers", "u32", model?.layers),
        ...numberEntry("model.hidden_size", "u32", model?.hiddenSize),
        ...textEntry("model.fingerprint", model?.fingerprint),
        ...extra.flatMap(([key, value]) => textEntry(`extra.${key}`, value as string)),
    ];
}

function textEntry(name: string, value: string | undefined): KeyEntry[] {
    return value === undefined ? [] : [{ key: `${prefix}${name}`, type: "text", value }];
}

function numberEntry(name: string, type: "u32" | "u64" | "f64", value: number | undefined): KeyEntry[] {
    return value === undefined ? [] : [{ key: `${prefix}${name}`, type, value }];
}

/** The metadata of a file of ours. @throws SteerError DATA_DAMAGED (also of a later version) */
export function readKeys(keys: FileKeys, file: string): VectorMetadata {
    const [found, base] = [keys.number(versionKey), keys.number(layerBaseKey)];
    if (found !== version) {
        throw damaged(file, `the vector is of version ${found}, which this version of llama-steer does not read`);
    }
    if (base !== layerBase) {
        throw damaged(file, `${layerBaseKey} is ${base}; expected ${layerBase}`);
    }
    const text = (name: string): string | undefined => keys.text(`${prefix}${name}`);
    const number = (name: string): number | undefined => keys.number(`${prefix}${name}`);
    return {
        ...extraOf(keys),
        ...present({ operation: text("operation"), site: text("site"), method: text("method") }),
        ...present({ lambda: number("lambda"), samples: number("samples"), seed: number("seed") }),
        ...present({ model: modelOf(text, number) }),
    };
}

function modelOf(
    text: (name: string) => string | undefined,
    number: (name: string) => number | undefined,
): VectorModel | undefined {
    const architecture = text("model.architecture");
    if (architecture === undefined) {
        return undefined;
    }
    const shape = { layers: number("model.layers") as number, hiddenSize: number("model.hidden_size") as number };
    return { architecture, ...shape, ...present({ fingerprint: text("model.fingerprint") }) };
}

function extraOf(keys: FileKeys): Record<string, string> {
    const names = keys.keys().flatMap((key) => (key.startsWith(extraPrefix) ? [key.slice(extraPrefix.length)] : []));
    const free = names.filter((name) => freeKey.test(name) && !knownMetadataKeys.includes(name));
    return Object.fromEntries(free.map((name) => [name, keys.text(`${extraPrefix}${name}`) as string]));
}

/** Without the keys that hold undefined. */
export function present<Values extends object>(values: Values): { [Key in keyof Values]?: NonNullable<Values[Key]> } {
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
        [Key in keyof Values]?: NonNullable<Values[Key]>;
    };
}
