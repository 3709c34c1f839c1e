import { readFileSync, writeFileSync } from "node:fs";

/** Bytes by which the resident memory of this process rises at most while `work` runs; undefined where Linux does not tell. */
export async function peakMemory(work: () => Promise<unknown>): Promise<number | undefined> {
    try {
        // 5: the high-water mark begins anew at what is resident now.
        writeFileSync("/proc/self/clear_refs", "5");
    } catch {
        return undefined;
    }
    const before = statusOf("VmRSS");
    await work();
    return statusOf("VmHWM") - before;
}

function statusOf(name: string): number {
    const line = readFileSync("/proc/self/status", "utf8").match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"));
    return Number(line?.[1]) * 1024;
}
