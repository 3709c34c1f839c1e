import { Activations, type CaptureFile, type RowLabels } from "llama-steer";

/** What rows of tests look like: every element tells which it is, exactly as a half float too. */
export const numbered = { site: "residual", layers: [2, 3, 7], width: 16 };

function value(slot: number, row: number, i: number): number {
    return (((row * 7 + slot * 31 + i) % 2048) - 1024) / 4;
}

/** Activations of any content: users get them from captures and files only. */
export function activationsOf(
    site: string,
    layers: readonly number[],
    width: number,
    capacity: number,
    data: Float32Array | Uint16Array,
    labels: RowLabels[],
): Activations {
    return Reflect.construct(Activations, [site, layers, width, capacity, data, labels]) as Activations;
}

/** Rows [first, first + count), one token each. */
export function numberedActivations(first: number, count: number, width: number = numbered.width): Activations {
    const { site, layers } = numbered;
    const data = new Float32Array(layers.length * count * width);
    for (let slot = 0, at = 0; slot < layers.length; slot++) {
        for (let row = first; row < first + count; row++) {
            for (let i = 0; i < width; i++) {
                data[at++] = value(slot, row, i);
            }
        }
    }
    const column = (of: (row: number) => number): Int32Array =>
        Int32Array.from({ length: count }, (_, i) => of(first + i));
    const labels = {
        sequence: column((row) => row % 3),
        position: column((row) => row),
        token: column((row) => 1000 + row),
    };
    return activationsOf(site, layers, width, count, data, Array(layers.length).fill(labels));
}

/** What is not as in {@link numberedActivations}, of all rows of a file; undefined where nothing is. */
export async function numberedDifference(file: CaptureFile): Promise<string | undefined> {
    const read = await file.read();
    const expected = numberedActivations(0, file.rows, file.width);
    for (let i = 0; i < expected.data.length; i++) {
        if (read.data[i] !== expected.data[i]) {
            return `element ${i} is ${read.data[i]}, not ${expected.data[i]}`;
        }
    }
    for (const name of ["sequence", "position", "token"] as const) {
        const wrong = file.labels[name].findIndex((label, i) => label !== expected.labels(2)[name][i]);
        if (wrong >= 0) {
            return `${name} of row ${wrong} is ${file.labels[name][wrong]}`;
        }
    }
    return undefined;
}
