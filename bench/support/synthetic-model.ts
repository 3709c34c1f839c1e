import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Writes a model of 46 million random weights in Q8_0: so large that computing, and not calling, takes the time. */
export function makeModel(path: string): void {
    const script = fileURLToPath(new URL("../../scripts/make-model.mjs", import.meta.url));
    const sizes = {
        layers: 12,
        hidden: 512,
        heads: 8,
        "kv-heads": 4,
        "head-size": 64,
        ffn: 1536,
        vocab: 8192,
        context: 2048,
    };
    const options = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const { status } = spawnSync(process.execPath, [script, "qwen3", path, ...options, "--type", "q8_0"], {
        stdio: ["ignore", 2, 2],
    });
    if (status !== 0) {
        throw new Error(`making ${path} failed`);
    }
}
