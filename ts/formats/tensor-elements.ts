import { native } from "../native.js";

/** The types of elements that directions are read from. */
export type ElementType = "F32" | "F16" | "BF16";

/** Bytes of an element. */
export const elementSizes: Readonly<Record<ElementType, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Elements as floats, exactly; `bytes` are little-endian and hold a whole number of them. */
export function readElements(bytes: Uint8Array, type: ElementType): Float32Array {
    const size = elementSizes[type];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = bytes.length / size;
    if (type === "F32") {
        return Float32Array.from({ length: count }, (_, i) => view.getFloat32(size * i, true));
    }
    const halves = Uint16Array.from({ length: count }, (_, i) => view.getUint16(size * i, true));
    const floats = new Float32Array(count);
    if (type === "F16") {
        native.halvesToFloats(halves, floats);
        return floats;
    }
    // A bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(floats.buffer);
    halves.forEach((half, i) => {
        bits[i] = half << 16;
    });
    return floats;
}

/** Floats as bytes, little-endian. */
export function writeFloats(values: Float32Array): Uint8Array {
    const bytes = new Uint8Array(values.length * 4);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => {
        view.setFloat32(4 * i, value, true);
    });
    return bytes;
}
