import { damaged } from "./byte-reader.js";
import type { FileKeys } from "./vector-keys.js";

/** Vectors take a few megabytes; what has more bytes than this is something else, and is neither written nor read. */
export const largestFile = 256 * 1024 * 1024;

/** The content of a vector file, whatever its format; what the numbers of its directions mean is for its dialect to say. */
export interface VectorFile {
    /** Its name, for messages. */
    readonly file: string;
    readonly keys: FileKeys;
    /** general.architecture of a GGUF file. */
    readonly architecture: string | undefined;
    /** By the number that the file gives them; all of one width, every element finite. */
    readonly directions: ReadonlyMap<number, Float32Array>;
    /** One for each direction, in the order of their numbers. */
    readonly norms: Float32Array | undefined;
}

/** The number in a direction's name, which is `lead` before it. @throws SteerError DATA_DAMAGED where it is another name */
export function directionNumber(name: string, lead: string, file: string): number {
    const number = name.startsWith(lead) ? name.slice(lead.length) : "";
    if (!/^(?:0|[1-9]\d{0,9})$/.test(number)) {
        const found = JSON.stringify(name.slice(0, 80));
        throw damaged(file, `there is a tensor ${found}, and this kind of file holds "${lead}N" only`);
    }
    return Number(number);
}

/** The width of a one-dimensional tensor; dimensions of 1 do not count. @throws SteerError DATA_DAMAGED */
export function directionWidth(shape: readonly number[], name: string, file: string): number {
    const [width = 1, ...others] = shape.filter((each) => each !== 1);
    if (others.length > 0) {
        throw damaged(file, `${name} is [${shape}]; a direction has one dimension`);
    }
    return width;
}

/** @throws SteerError DATA_DAMAGED where directions are missing, of different widths or not finite */
export function checkDirections(directions: ReadonlyMap<number, Float32Array>, file: string): void {
    const widths = new Set([...directions.values()].map((direction) => direction.length));
    if (widths.size !== 1 || widths.has(0)) {
        const found =
            widths.size === 0 ? "holds no direction" : `holds directions of ${[...widths].join(" and ")} elements`;
        throw damaged(file, found);
    }
    for (const [number, direction] of directions) {
        const bad = direction.findIndex((value) => !Number.isFinite(value));
        if (bad >= 0) {
            throw damaged(file, `direction ${number} holds ${direction[bad]} at element ${bad}`);
        }
    }
}
