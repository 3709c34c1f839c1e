import { SteerError } from "../steer-error.js";
import { longestHeader } from "./safetensors-reader.js";

/** A tensor as it is to be written. */
export interface SafetensorsData {
    name: string;
    type: "F32" | "I32";
    shape: readonly number[];
    bytes: Uint8Array;
}

/** Readers may map the file: data begins at a multiple of this. */
const alignment = 64;

/** A safetensors file. @throws SteerError INVALID_ARGUMENT where the metadata are longer than a header may be */
export function writeSafetensors(
    metadata: Readonly<Record<string, string>>,
    tensors: readonly SafetensorsData[],
): Uint8Array {
    let offset = 0;
    const described = tensors.map(({ name, type, shape, bytes }): [string, object] => {
        const begin = offset;
        offset += bytes.length;
        return [name, { dtype: type, shape, data_offsets: [begin, offset] }];
    });
    const header = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(described) }));
    const length = Math.ceil((header.length + 8) / alignment) * alignment - 8;
    if (length > longestHeader) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `metadata take ${length} bytes; a file holds at most ${longestHeader}`,
        );
    }
    const beginning = Buffer.alloc(8 + length, " ");
    beginning.writeBigUInt64LE(BigInt(length));
    header.copy(beginning, 8);
    return Buffer.concat([beginning, ...tensors.map(({ bytes }) => bytes)]);
}
