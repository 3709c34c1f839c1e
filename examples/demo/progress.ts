import { Presets, SingleBar } from "cli-progress";

/** Runs a stage of known length under a progress bar (a line where the output is no terminal) and says how long it took. */
export async function stage<Result>(
    title: string,
    total: number,
    run: (advance: (by?: number) => void) => Promise<Result>,
): Promise<Result> {
    const bar = new SingleBar(
        {
            format: `${title.padEnd(34)} {bar} {value}/{total}  {duration_formatted}`,
            hideCursor: true,
            noTTYOutput: false,
        },
        Presets.shades_classic,
    );
    const started = performance.now();
    bar.start(total, 0);
    try {
        return await run((by = 1) => bar.increment(by));
    } finally {
        bar.stop();
        if (!process.stderr.isTTY) {
            console.error(`${title.padEnd(34)} ${total}  ${((performance.now() - started) / 1000).toFixed(1)} s`);
        }
    }
}
