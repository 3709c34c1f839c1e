import { join } from "node:path";
import { CaptureFile, CaptureFileWriter } from "llama-steer";
import { type CapturedRows, captured } from "./captured-rows.js";
import { TemporaryFolder } from "./temporary-folder.js";

export const width = 128;
/** Rows in a shard of {@link written}. */
export const shardRows = 20;
export const folder = new TemporaryFolder();
let places = 0;

export interface Written extends CapturedRows {
    directory: string;
    file: CaptureFile;
}

/** Captured rows, also in a file of shards of `perShard` rows. */
export async function written(
    rows: number,
    seed: number,
    type: "f32" | "f16" = "f32",
    perShard = shardRows,
): Promise<Written> {
    const all = await captured(rows, seed);
    const directory = join(folder.path, `capture-${places++}`);
    const { site, layers } = all.activations;
    const shardBytes = perShard * (20 + layers.length * (4 + width * (type === "f32" ? 4 : 2)));
    const writer = await CaptureFileWriter.open(directory, { site, layers, width, type, shardBytes });
    await writer.append(all.activations);
    await writer.close();
    return { ...all, directory, file: await CaptureFile.open(directory) };
}

/** Whether two accumulators' bytes are the same. */
export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
