import test from "ava";
import { loadVector } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { directionPart, ggufBytes, newFile, textPart, u32Part } from "./support/vector-files.js";

const control = [textPart("general.architecture", "controlvector"), textPart("controlvector.model_hint", "qwen3")];
const own = [
    textPart("general.architecture", "controlvector"),
    u32Part("llama_steer.version", 1),
    u32Part("llama_steer.layer_base", 0),
];
const direction = directionPart("direction.1", [1, 2, 3, 4]);
const tensor = (changes: object) => ({ ...direction, ...changes });
const huge = 2n ** 60n;

const brokenGguf: [what: string, bytes: Uint8Array, message: RegExp][] = [
    ["nothing", Buffer.alloc(0), /neither a GGUF nor a safetensors/],
    ["a magic alone", Buffer.from("GGUF"), /at byte 4: expected the version of 4 bytes, and 0 are left/],
    ["a version that is none", ggufBytes(control, [direction], 9), /GGUF version 9; expected 2 or 3/],
    ["big-endian", Buffer.from("GGUF\0\0\0\x03aaaaaaaaaaaaaaaaaaaa"), /big-endian/],
    [
        "2^60 tensors",
        Buffer.from(ggufBytes(control, [])).fill(Buffer.from([0, 0, 0, 0, 0, 0, 0, 16]), 8, 16),
        /tensors is 1152921504606846976, more than any file has/,
    ],
    [
        "2^60 values",
        Buffer.from(ggufBytes(control, [])).fill(Buffer.from([0, 0, 0, 0, 0, 0, 0, 16]), 16, 24),
        /values is 1152921504606846976, more than any file has/,
    ],
    ["no architecture", ggufBytes([], [direction]), /general\.architecture is missing/],
    ["a key twice", ggufBytes([...control, ...control], [direction]), /"general.architecture" is there a second time/],
    [
        "a text of 2^60 bytes",
        ggufBytes([["k", 8, Buffer.from([0, 0, 0, 0, 0, 0, 0, 16])]], []),
        /length of k is 1152921504606846976/,
    ],
    [
        "an array of 2^60",
        ggufBytes([["k", 9, Buffer.from([6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16])]], []),
        /elements of k is/,
    ],
    [
        "an array of arrays",
        ggufBytes([["k", 9, Buffer.from([9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])]], []),
        /type 9, which GGUF does not have/,
    ],
    ["a type that is none", ggufBytes([["k", 99, Buffer.alloc(8)]], []), /k is of type 99/],
    [
        "text that is no UTF-8",
        ggufBytes([["general.architecture", 8, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 255])]], []),
        /no UTF-8/,
    ],
    ["an architecture that is a number", ggufBytes([u32Part("general.architecture", 1)], []), /expected a text/],
    [
        "an alignment that is none",
        ggufBytes([...control, u32Part("general.alignment", 24)], [direction]),
        /power of two/,
    ],
    ["no directions", ggufBytes(control, []), /holds no direction/],
    [
        "another tensor",
        ggufBytes(control, [directionPart("output.weight", [1])]),
        /"output.weight".*"direction.N" only/,
    ],
    ["no number", ggufBytes(control, [directionPart("direction.x", [1])]), /"direction.x"/],
    ["a number with a zero before it", ggufBytes(control, [directionPart("direction.01", [1])]), /"direction.01"/],
    ["a negative number", ggufBytes(control, [directionPart("direction.-1", [1])]), /"direction.-1"/],
    [
        "another lead beside",
        ggufBytes(control, [direction, directionPart("llama_steer.direction.0", [1, 2, 3, 4])]),
        /llama_steer.direction.0/,
    ],
    ["a direction twice", ggufBytes(control, [direction, direction]), /"direction.1" is there a second time/],
    ["two widths", ggufBytes(control, [direction, directionPart("direction.2", [1])]), /4 and 1 elements/],
    ["two dimensions", ggufBytes(control, [tensor({ shape: [2, 2] })]), /\[2,2\]; a direction has one dimension/],
    ["no dimension", ggufBytes(control, [tensor({ shape: [] })]), /0 dimensions; expected 1 to 4/],
    ["a dimension of 0", ggufBytes(control, [tensor({ shape: [0] })]), /which the file cannot hold/],
    ["a dimension of 2^60", ggufBytes(control, [tensor({ shape: [huge] })]), /more than any file has/],
    [
        "dimensions that multiply beyond 2^64",
        ggufBytes(control, [tensor({ shape: [2 ** 40, 2 ** 40] })]),
        /which the file cannot hold/,
    ],
    ["a quantized direction", ggufBytes(control, [tensor({ type: 2 })]), /of type 2; expected F32, F16 or BF16/],
    ["a place outside", ggufBytes(control, [tensor({ offset: 4096 })]), /lies at 4096/],
    ["a place of 2^60", ggufBytes(control, [tensor({ offset: huge })]), /more than any file has/],
    ["a place between", ggufBytes(control, [tensor({ offset: 4 })]), /multiple of 32/],
    [
        "one place for two",
        ggufBytes(control, [direction, { ...directionPart("direction.2", [1, 2, 3, 4]), offset: 0 }]),
        /in the same place/,
    ],
    ["NaN", ggufBytes(control, [directionPart("direction.1", [1, Number.NaN])]), /direction 1 holds NaN at element 1/],
    [
        "infinity",
        ggufBytes(control, [directionPart("direction.1", [Number.NEGATIVE_INFINITY])]),
        /-Infinity at element 0/,
    ],
    [
        "a later version of ours",
        ggufBytes([...own.slice(0, 1), u32Part("llama_steer.version", 2)], [direction]),
        /version 2/,
    ],
    [
        "ours that counts otherwise",
        ggufBytes([...own.slice(0, 2), u32Part("llama_steer.layer_base", 1)], [direction]),
        /layer_base is 1; expected 0/,
    ],
    [
        "ours without version",
        ggufBytes(
            [textPart("general.architecture", "llama_steer_vector")],
            [directionPart("llama_steer.direction.1", [1])],
        ),
        /version undefined/,
    ],
    [
        "ours with a wrong seed",
        ggufBytes([...own, textPart("llama_steer.seed", "7")], [direction]),
        /llama_steer.seed is of type 8; expected a number/,
    ],
    [
        "ours with half a model",
        ggufBytes([...own, textPart("llama_steer.model.architecture", "x")], [direction]),
        /model.layers must be/,
    ],
    [
        "ours with a model of another width",
        ggufBytes(
            [
                ...own,
                textPart("llama_steer.model.architecture", "x"),
                u32Part("llama_steer.model.layers", 4),
                u32Part("llama_steer.model.hidden_size", 5),
            ],
            [direction],
        ),
        /4 wide, the model of the metadata 5/,
    ],
    [
        "ours with norms for no layer",
        ggufBytes([...own, ["llama_steer.norms", 9, Buffer.from([6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]], [direction]),
        /0 norms for 1 layers/,
    ],
    [
        "ours with norms that are numbers",
        ggufBytes([...own, u32Part("llama_steer.norms", 1)], [direction]),
        /expected an array of float32/,
    ],
];

for (const [what, bytes, message] of brokenGguf) {
    test(`a GGUF file with ${what} is damaged`, async (t) => {
        // Files of ours say so themselves; of the others it must be said.
        const options = what.includes("ours") ? {} : ({ dialect: "repeng" } as const);
        await expectCode(t, "DATA_DAMAGED", () => loadVector(newFile(".gguf", bytes), options), message);
    });
}

test("the files that the broken ones are made of are read", async (t) => {
    t.deepEqual([...(await loadVector(newFile(".gguf", ggufBytes(own, [direction])))).data], [1, 2, 3, 4]);
    t.deepEqual((await loadVector(newFile(".gguf", ggufBytes(own, [direction], 2)))).layers, [1]);
    t.deepEqual(
        (await loadVector(newFile(".gguf", ggufBytes(control, [direction])), { dialect: "repeng" })).layers,
        [1],
    );
});
