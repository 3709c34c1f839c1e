import test from "ava";
import { loadVector } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { newFile, safetensorsBytes } from "./support/vector-files.js";

const matrix = { dtype: "F32", shape: [1, 2], data_offsets: [0, 8] };
const layers = { dtype: "I32", shape: [1], data_offsets: [8, 12] };
const ours = { "llama_steer.version": "1", "llama_steer.layer_base": "0" };
const rows = (layer: number, ...values: number[]): Buffer =>
    Buffer.concat([Buffer.from(Float32Array.from(values).buffer), Buffer.from(Int32Array.of(layer).buffer)]);
const header = (changes: object = {}): object => ({ __metadata__: ours, directions: matrix, layers, ...changes });
const data = rows(1, 5, 6);

const brokenSafetensors: [what: string, bytes: Uint8Array, message: RegExp][] = [
    [
        "a header of 2^60 bytes",
        Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 16]), Buffer.from("{}")]),
        /more than any file has/,
    ],
    [
        "a header longer than the file",
        Buffer.concat([Buffer.from([99, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("{}")]),
        /99 bytes, more than there are/,
    ],
    ["no JSON", safetensorsBytes("{x}", data), /no JSON/],
    ["a header that is cut", safetensorsBytes(JSON.stringify(header()).slice(0, -5), data), /no JSON/],
    ["a key twice", safetensorsBytes(`{"a":1,${JSON.stringify(header()).slice(1, -1)},"a":1}`, data), /a key twice/],
    ["metadata twice", safetensorsBytes(`{"__metadata__":{"a":"1","a":"2"}}`, data), /a key twice/],
    [
        "an endless nesting",
        safetensorsBytes(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, data),
        /must have dtype/,
    ],
    [
        "nesting in nesting",
        safetensorsBytes(`{"a":${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}}`, data),
        /a key twice/,
    ],
    [
        "metadata that are no texts",
        safetensorsBytes(header({ __metadata__: { ...ours, n: 1 } }), data),
        /must hold texts/,
    ],
    ["metadata that are a list", safetensorsBytes(header({ __metadata__: ["x"] }), data), /must hold texts/],
    ["nothing of a vector", safetensorsBytes({ weight: matrix }, data.subarray(0, 8)), /of another kind/],
    ["a tensor that is null", safetensorsBytes(header({ layers: null }), data), /must have dtype/],
    [
        "a negative place",
        safetensorsBytes(header({ layers: { ...layers, data_offsets: [-4, 0] } }), data),
        /must have dtype/,
    ],
    [
        "a fraction of a row",
        safetensorsBytes(header({ directions: { ...matrix, shape: [1.5, 2] } }), data),
        /must have dtype/,
    ],
    [
        "a place that is no pair",
        safetensorsBytes(header({ layers: { ...layers, data_offsets: [8] } }), data),
        /must have dtype/,
    ],
    [
        "a type that is none",
        safetensorsBytes(header({ layers: { ...layers, dtype: "toString" } }), data),
        /must have dtype/,
    ],
    [
        "a place behind the end",
        safetensorsBytes(header({ layers: { ...layers, data_offsets: [108, 112] } }), data),
        /begins at byte/,
    ],
    [
        "bytes of another number",
        safetensorsBytes(header({ layers: { ...layers, data_offsets: [8, 16] } }), data),
        /takes 4 bytes/,
    ],
    [
        "one place for two",
        safetensorsBytes(header({ layers: { ...layers, data_offsets: [4, 8] } }), data),
        /begins at byte/,
    ],
    ["bytes that no tensor has", safetensorsBytes(header(), Buffer.concat([data, Buffer.alloc(1)])), /and the file at/],
    [
        "a later version",
        safetensorsBytes(header({ __metadata__: { ...ours, "llama_steer.version": "2" } }), data),
        /version 2/,
    ],
    [
        "a version that is no number",
        safetensorsBytes(header({ __metadata__: { "llama_steer.version": "one" } }), data),
        /expected a number/,
    ],
    [
        "no layers",
        safetensorsBytes({ __metadata__: ours, directions: matrix }, data.subarray(0, 8)),
        /expected directions/,
    ],
    [
        "layers of another number",
        safetensorsBytes(header({ directions: { ...matrix, shape: [2, 1] } }), data),
        /expected directions/,
    ],
    [
        "layers of floats",
        safetensorsBytes(header({ layers: { ...layers, dtype: "F32" } }), data),
        /expected directions/,
    ],
    ["a negative layer", safetensorsBytes(header(), rows(-1, 5, 6)), /layers holds -1/],
    [
        "an infinite direction",
        safetensorsBytes(header(), rows(1, 5, Number.POSITIVE_INFINITY)),
        /Infinity at element 1/,
    ],
    [
        "directions of integers",
        safetensorsBytes(header({ directions: { ...matrix, dtype: "I32" } }), data),
        /of type I32; expected F32/,
    ],
    [
        "directions of nothing",
        safetensorsBytes(
            header({
                directions: { ...matrix, shape: [1, 0], data_offsets: [0, 0] },
                layers: { ...layers, data_offsets: [0, 4] },
            }),
            data.subarray(8),
        ),
        /directions of 0 elements/,
    ],
    [
        "layers that descend",
        safetensorsBytes(
            header({
                directions: { ...matrix, shape: [2, 1] },
                layers: { ...layers, shape: [2], data_offsets: [8, 16] },
            }),
            Buffer.concat([rows(3, 5, 6), Buffer.from(Int32Array.of(2).buffer)]),
        ),
        /layers holds 2/,
    ],
];

for (const [what, bytes, message] of brokenSafetensors) {
    test(`a safetensors file with ${what} is damaged`, async (t) => {
        await expectCode(t, "DATA_DAMAGED", () => loadVector(newFile(".safetensors", bytes)), message);
    });
}

test("the file that the broken ones are made of is read", async (t) => {
    const vector = await loadVector(newFile(".safetensors", safetensorsBytes(header(), data)));
    t.deepEqual(vector.layers, [1]);
    t.deepEqual([...vector.data], [5, 6]);
});
