import { SteerError } from "./steer-error.js";

// Sums and projections of directions, in float64, rounded to float32 once. Results are new arrays.

/** A direction for each of some layers, `data` as [layers.length][hiddenSize]. */
interface Directions {
    readonly layers: readonly number[];
    readonly hiddenSize: number;
    readonly data: Float32Array;
}

/**
 * Below this share of a vector's length, what a projection leaves of it is no more than the rounding of float32 numbers
 * (2^-24 each) can have made.
 */
const roundingShare = 2 ** -22;

/** a + factor·b at the layers of both together; a layer that one lacks counts as zero there. */
export function sum(a: Directions, b: Directions, factor: number): { layers: number[]; data: Float32Array } {
    const layers = [...new Set([...a.layers, ...b.layers])].sort((x, y) => x - y);
    const data = new Float32Array(layers.length * a.hiddenSize);
    layers.forEach((layer, row) => {
        const [ours, theirs] = [rowOf(a, layer), rowOf(b, layer)];
        const begin = row * a.hiddenSize;
        for (let i = 0; i < a.hiddenSize; i++) {
            data[begin + i] = (ours?.[i] ?? 0) + factor * (theirs?.[i] ?? 0);
        }
    });
    return { layers, data };
}

/** factor·a */
export function scaled(a: Directions, factor: number): Float32Array {
    return a.data.map((value) => value * factor);
}

/** Every direction with length 1. @throws SteerError ZERO_VECTOR */
export function normalized(a: Directions): Float32Array {
    const data = new Float32Array(a.data.length);
    a.layers.forEach((layer, row) => {
        const direction = float64Row(a, row);
        const length = Math.sqrt(dot(direction, direction));
        if (length === 0) {
            throw new SteerError(
                "ZERO_VECTOR",
                `the direction of layer ${layer} is zero and cannot be brought to length 1: leave the layer out`,
            );
        }
        data.set(
            direction.map((value) => value / length),
            row * a.hiddenSize,
        );
    });
    return data;
}

/**
 * What is left of every direction without its components in the span of the others' directions at its layer (Gram-Schmidt
 * with a second pass, which makes it orthogonal to rounding). What is nothing but rounding becomes zero.
 */
export function orthogonalized(a: Directions, others: readonly Directions[]): Float32Array {
    const data = new Float32Array(a.data.length);
    a.layers.forEach((layer, row) => {
        const spanned = others.flatMap((other) => {
            const direction = rowOf(other, layer);
            return direction === undefined ? [] : [Float64Array.from(direction)];
        });
        data.set(remainder(float64Row(a, row), orthonormalBasis(spanned)), row * a.hiddenSize);
    });
    return data;
}

function orthonormalBasis(directions: readonly Float64Array[]): Float64Array[] {
    const basis: Float64Array[] = [];
    for (const direction of directions) {
        const rest = remainder(direction, basis);
        const length = Math.sqrt(dot(rest, rest));
        if (length > 0) {
            basis.push(rest.map((value) => value / length));
        }
    }
    return basis;
}

/** Direction minus its projection on an orthonormal basis; zeros where only rounding is left. */
function remainder(direction: Float64Array, basis: readonly Float64Array[]): Float64Array {
    const rest = Float64Array.from(direction);
    for (let pass = 0; pass < 2; pass++) {
        for (const axis of basis) {
            const component = dot(rest, axis);
            for (let i = 0; i < rest.length; i++) {
                rest[i] = (rest[i] as number) - component * (axis[i] as number);
            }
        }
    }
    const isRounding = basis.length > 0 && dot(rest, rest) <= roundingShare ** 2 * dot(direction, direction);
    return isRounding ? rest.fill(0) : rest;
}

function dot(a: Float64Array, b: Float64Array): number {
    let total = 0;
    for (let i = 0; i < a.length; i++) {
        total += (a[i] as number) * (b[i] as number);
    }
    return total;
}

function float64Row({ hiddenSize, data }: Directions, row: number): Float64Array {
    return Float64Array.from(data.subarray(row * hiddenSize, (row + 1) * hiddenSize));
}

function rowOf({ layers, hiddenSize, data }: Directions, layer: number): Float32Array | undefined {
    const row = layers.indexOf(layer);
    return row < 0 ? undefined : data.subarray(row * hiddenSize, (row + 1) * hiddenSize);
}
