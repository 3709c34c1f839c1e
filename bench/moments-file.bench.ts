// Moments of a capture file: folded from the mapping, against `read()` to memory and an addition from there.
//
//   npm run bench -- moments-file [--json] [--rounds N] [--megabytes N]
//
// Rows of layers and widths as below, in one shard in the memory of the system. The side that reads does so in blocks as
// large as the pieces that are folded, into memory that is used again. Both sides run once per round, in an order that
// changes from round to round; a ratio is that of one round. Seconds include the merge at the end.

import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Activations, CaptureFile, CaptureFileWriter, MomentsAccumulator, type MomentsOptions } from "llama-steer";
import { quantiles } from "./support/paired.js";

const { values } = parseArgs({
    options: {
        json: { type: "boolean", default: false },
        rounds: { type: "string", default: "7" },
        megabytes: { type: "string", default: "384" },
    },
});
const pieceBytes = 32 * 2 ** 20;

interface Case {
    layers: number;
    width: number;
    type: "f32" | "f16";
    secondMoment: "diagonal" | "full";
    /** Of the megabytes asked for. */
    share: number;
}

const cases: Case[] = [
    { layers: 4, width: 1024, type: "f32", secondMoment: "diagonal", share: 1 },
    { layers: 4, width: 1024, type: "f16", secondMoment: "diagonal", share: 1 },
    { layers: 4, width: 1024, type: "f32", secondMoment: "full", share: 0.5 },
    { layers: 1, width: 4096, type: "f32", secondMoment: "full", share: 0.25 },
];

/** A file of random rows; returns it open. */
async function written(directory: string, { layers, width, type, share }: Case): Promise<CaptureFile> {
    const numbers = Array.from({ length: layers }, (_, layer) => layer);
    const count = 512;
    const data = new Float32Array(new SharedArrayBuffer(4 * layers * count * width));
    let state = 1;
    for (let i = 0; i < data.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        data[i] = state / 2 ** 31 - 1;
    }
    const labels = { sequence: new Int32Array(count), position: new Int32Array(count), token: new Int32Array(count) };
    const rows = Reflect.construct(Activations, ["residual", numbers, width, count, data, numbers.map(() => labels)]);
    const shardBytes = 2 ** 31;
    const writer = await CaptureFileWriter.open(directory, {
        site: "residual",
        layers: numbers,
        width,
        type,
        shardBytes,
    });
    const blockBytes = count * layers * width * (type === "f32" ? 4 : 2);
    for (let bytes = 0; bytes < share * Number(values.megabytes) * 1e6; bytes += blockBytes) {
        await writer.append(rows as Activations);
    }
    await writer.close();
    return CaptureFile.open(directory);
}

async function byReading(file: CaptureFile, options: MomentsOptions): Promise<void> {
    using moments = new MomentsAccumulator(options);
    const rowBytes = file.layers.length * file.width * (file.type === "f32" ? 4 : 2);
    const rows = Math.max(512, Math.floor(pieceBytes / rowBytes));
    const into = new Float32Array(new SharedArrayBuffer(4 * rows * file.layers.length * file.width));
    for (let from = 0; from < file.rows; from += rows) {
        await moments.add(await file.read({ from, to: Math.min(file.rows, from + rows), into }));
    }
}

async function fromMapping(file: CaptureFile, options: MomentsOptions): Promise<void> {
    using moments = new MomentsAccumulator(options);
    await moments.add(file);
}

async function seconds(work: () => Promise<void>): Promise<number> {
    const start = performance.now();
    await work();
    return (performance.now() - start) / 1000;
}

const results = [];
for (const each of cases) {
    const directory = mkdtempSync(join(tmpdir(), "llama-steer-"));
    try {
        using file = await written(join(directory, "capture"), each);
        const { layers, width } = file;
        const options = { layers, width, secondMoment: each.secondMoment };
        const sides = [fromMapping, byReading];
        const times: number[][] = [[], []];
        for (let round = -1; round < Number(values.rounds); round++) {
            for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
                const took = await seconds(() => (sides[side] as typeof fromMapping)(file, options));
                if (round >= 0) {
                    (times[side] as number[]).push(took);
                }
            }
        }
        const [mapped, read] = times as [number[], number[]];
        results.push({
            ...each,
            rows: file.rows,
            mapped: quantiles(mapped.map((took) => file.rows / took)),
            reading: quantiles(read.map((took) => file.rows / took)),
            ratio: quantiles(mapped.map((took, round) => (read[round] as number) / took)),
        });
    } finally {
        rmSync(directory, { recursive: true, force: true });
    }
}

if (values.json) {
    console.log(JSON.stringify({ processor: cpus()[0]?.model, results }, null, 4));
} else {
    console.table(
        results.map(({ mapped, reading, ratio, ...each }) => ({
            ...each,
            "mapped rows/s": Math.round(mapped.median),
            "read rows/s": Math.round(reading.median),
            "mapped / read": ratio.median.toFixed(2),
            "95 % interval": ratio.interval.map((bound) => bound.toFixed(2)).join(" to "),
        })),
    );
}
