import type { Activations } from "llama-steer";

/** Positions of the rows that a layer holds of one sequence, in the order of the rows. */
export function positionsAt(activations: Activations, layer: number, sequence = 0): number[] {
    const labels = activations.labels(layer);
    return [...labels.position].filter((_, i) => labels.sequence[i] === sequence);
}

/** The row of one token, by what its label says. */
export function rowAt(activations: Activations, layer: number, position: number, sequence = 0): Float32Array {
    const labels = activations.labels(layer);
    const row = labels.position.findIndex((each, i) => each === position && labels.sequence[i] === sequence);
    if (row < 0) {
        throw new Error(`layer ${layer} has no row of sequence ${sequence} at position ${position}`);
    }
    return activations.row(layer, row);
}

/** What of `some` is not, label for label and bit for bit, in `all`, which was captured beside it; undefined where all is. */
export function strangeRow(some: Activations, all: Activations): string | undefined {
    for (const layer of some.layers) {
        const { sequence, position, token } = some.labels(layer);
        const whole = all.labels(layer);
        for (let i = 0; i < token.length; i++) {
            const label = `layer ${layer} sequence ${sequence[i]} position ${position[i]}`;
            const at = whole.position.findIndex(
                (each, row) => each === position[i] && whole.sequence[row] === sequence[i],
            );
            if (at < 0 || whole.token[at] !== token[i]) {
                return `${label}: no such token`;
            }
            if (!sameBits(some.row(layer, i), all.row(layer, at))) {
                return `${label}: another row`;
            }
        }
    }
    return undefined;
}

/** Bit for bit, so that NaN equals NaN and 0 does not equal -0. */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
    return Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function bytesOf(floats: Float32Array): Uint8Array {
    return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
}
