import type { VectorMetadata } from "../vector-metadata.js";
import { damaged } from "./byte-reader.js";
import { type FileKeys, present } from "./vector-keys.js";

// GLP: control vectors whose keys say that they are to be projected out, by several tools that serve such models.

const operations: Readonly<Record<string, string>> = { add: "add", project: "ablate" };
const sites: Readonly<Record<string, string>> = {
    residual_stream_post_layer: "residual",
    attn_out_pre_residual: "attention_out",
    ffn_out_pre_residual: "mlp_out",
};

/**
 * The metadata of a GLP file, in the terms of this package. A mode that is not known is taken as the operation it names.
 *
 * @throws SteerError DATA_DAMAGED where it says something that cannot be expressed here: another site, several directions
 *   at one layer, or directions that are numbered by steps of a loop rather than by layers
 */
export function readGlp(keys: FileKeys, file: string): VectorMetadata {
    const mode = keys.text("glp.mode") ?? "";
    const hook = keys.text("glp.hook_point") ?? "residual_stream_post_layer";
    const site = Object.hasOwn(sites, hook) ? sites[hook] : undefined;
    if (site === undefined) {
        throw damaged(file, `glp.hook_point is ${JSON.stringify(hook.slice(0, 40))}, which is no site known here`);
    }
    if ((keys.number("glp.rank") ?? 1) !== 1 || keys.text("glp.structure") === "per-execution-step") {
        throw damaged(file, "glp.rank or glp.structure say that there is more than one direction for a layer");
    }
    const operation = Object.hasOwn(operations, mode) ? operations[mode] : mode;
    return present({
        operation,
        site,
        method: keys.text("glp.method") || undefined,
        modelHint: keys.text("controlvector.model_hint"),
        baseModel: keys.text("glp.base_model"),
        alpha: keys.number("glp.alpha_default")?.toString(),
    });
}
