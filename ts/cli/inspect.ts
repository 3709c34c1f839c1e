import { statSync } from "node:fs";
import type { Command } from "commander";
import { type Model, publicSites, type Sites } from "../index.js";
import { ridgeBytes } from "../ridge/index.js";
import { command, runs } from "./command.js";
import { keyValueBytes } from "./context-memory.js";
import { openModel } from "./model-options.js";
import { bytes, count, ranges } from "./numbers.js";
import { gpuLayers, whole } from "./option-values.js";
import { list, table } from "./table.js";

interface InspectOptions {
    sequences: number;
    contextSize?: number;
    fitPrompts: number;
    gpuLayers?: number | "all";
}

const floatBytes = 4;

export function addInspect(program: Command): void {
    const target = command(program, "inspect <model>", "say what a GGUF model is, and what memory it needs", [
        "llama-steer inspect model.gguf",
        "llama-steer inspect model.gguf --sequences 32 --context-size 2048 --fit-prompts 800 --json",
    ])
        .option("--sequences <n>", "of the context whose memory is told", whole(1, 256), 32)
        .option("--context-size <n>", "tokens of each sequence (default: what it was trained with)", whole(1, 1 << 30))
        .option("--fit-prompts <n>", "prompts of the fit whose memory is told", whole(2, 1e9), 500)
        .option("--gpu-layers <n>", 'layers to put on a GPU, or "all" (default: 0)', gpuLayers);
    runs<InspectOptions>(target, async (run, options, [path]) => {
        await using model = await openModel(run, path as string, options.gpuLayers);
        const found = await inspection(model, path as string, options);
        run.output.result(found, () => lines(found));
    });
}

/** What `inspect --json` prints. */
type Inspection = Awaited<ReturnType<typeof inspection>>;

async function inspection(model: Model, path: string, { sequences, contextSize, fitPrompts }: InspectOptions) {
    const { bytes: weightBytes, ...info } = model.info;
    const size = contextSize ?? info.trainingContext;
    return {
        path,
        fileBytes: statSync(path).size,
        weightBytes,
        ...info,
        chatTemplate: model.hasChatTemplate,
        sites: await model.sites(),
        memory: {
            context: { sequences, contextSize: size, bytes: keyValueBytes(model, sequences, size) ?? null },
            fit: {
                prompts: fitPrompts,
                rowBytes: fitPrompts * info.layers * info.hiddenSize * floatBytes,
                /** Of one layer, in float64. */
                solverBytes: ridgeBytes({ rows: fitPrompts, width: info.hiddenSize, lambda: 1 }),
            },
        },
    };
}

function lines(found: Inspection): string[] {
    const { context, fit } = found.memory;
    return [
        ...list([
            ["model", found.path],
            ["architecture", found.architecture],
            ["description", found.description],
            ["parameters", count(found.parameters)],
            ["layers", `${found.layers}`],
            ["hidden size", `${found.hiddenSize}`],
            ["heads", `${found.heads}`],
            ["vocabulary", `${found.vocabularySize}`],
            ["trained context", `${found.trainingContext} tokens`],
            ["memory", found.recurrent ? "recurrent, in part or throughout" : "attention"],
            ["chat template", found.chatTemplate ? "yes" : "no: fit, eval and chat need one"],
            ["file", bytes(found.fileBytes)],
        ]),
        "",
        ...siteTable(found.sites),
        "",
        ...table(
            [{ head: "memory needed for" }, { head: "size", right: true }],
            [
                ["weights", bytes(found.weightBytes)],
                [
                    `keys and values, at most: ${context.sequences} sequences of ${context.contextSize} tokens`,
                    context.bytes === null ? "-" : bytes(context.bytes),
                ],
                [`a fit's rows: ${fit.prompts} prompts, ${found.layers} layers`, bytes(fit.rowBytes)],
                ["a fit's solver, for each layer at a time", bytes(fit.solverBytes)],
            ],
        ),
    ];
}

function siteTable(sites: Sites): string[] {
    const known = publicSites.filter((name) => name in sites);
    const others = Object.keys(sites).filter((name) => !(known as readonly string[]).includes(name));
    const rows = known.map((name) => {
        const { layers, widths } = sites[name] as Sites[string];
        return [name, ranges(layers), [...new Set(widths)].join(", ")];
    });
    const more = others.length === 0 ? [] : [`and by their names in the graph: ${others.join(", ")}`];
    return [...table([{ head: "site" }, { head: "layers" }, { head: "width", right: true }], rows), ...more];
}
