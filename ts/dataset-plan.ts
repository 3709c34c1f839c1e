import type { RowType } from "./activations.js";
import { type CaptureOptions, rowTypes } from "./capture-request.js";
import type { ChatMessage } from "./chat-template.js";
import { checkOneOf, describe } from "./check.js";
import { selectLayers } from "./layers.js";
import type { Model } from "./model.js";
import { siteNamed } from "./site.js";
import { SteerError } from "./steer-error.js";
import { compileSelection, type TokenSelection } from "./token-selection.js";

/** As {@link Model.encodePrompt} takes it: text as it is, messages through the chat template, or token ids. */
export type DatasetPrompt = string | readonly ChatMessage[] | Int32Array;

/** What is to be captured, checked before anything is computed or written. */
export interface DatasetPlan {
    site: string;
    layers: readonly number[];
    width: number;
    type: RowType;
    rows: TokenSelection;
    tokens: readonly Int32Array[];
}

/** @throws SteerError as `captureDataset` */
export async function datasetPlan(
    model: Model,
    prompts: readonly DatasetPrompt[],
    options: Pick<CaptureOptions, "site" | "layers" | "type" | "rows">,
): Promise<DatasetPlan> {
    const { site = "residual", layers = "all", type = "f32", rows = "last-prompt" } = options;
    if (!Array.isArray(prompts) || prompts.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `prompts must be a list of at least one, not ${describe(prompts)}`);
    }
    checkOneOf(type, rowTypes, "type");
    compileSelection(rows, "rows", model.tokenizer);
    if (rows === "generated" || rows === "outputs") {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `prompts hold no tokens of rows "${rows}": choose "last-prompt" or others`,
        );
    }
    const found = siteNamed(await model.sites(), site);
    const selected = selectLayers(layers, found.layers);
    const tokens = prompts.map((prompt: DatasetPrompt, i) => {
        const encoded = model.encodePrompt(prompt);
        checkPrompt(encoded, i, rows, model.info.trainingContext);
        return encoded;
    });
    return {
        site,
        layers: selected,
        width: found.widths[found.layers.indexOf(selected[0] as number)] as number,
        type,
        // Chosen rows are the same at every layer; of "all" the last block would hold fewer.
        rows: rows === "all" ? "prompt" : rows,
        tokens,
    };
}

function checkPrompt(tokens: Int32Array, index: number, rows: TokenSelection, limit: number): void {
    if (tokens.length === 0) {
        throw new SteerError("PROMPT_EMPTY", `prompt ${index} has no tokens`);
    }
    if (tokens.length > limit) {
        const message = `prompt ${index} has ${tokens.length} tokens; the model was trained on ${limit} at most`;
        throw new SteerError("PROMPT_TOO_LONG", message);
    }
    if (typeof rows === "object" && "positions" in rows) {
        const missing = [rows.positions].flat().find((at) => at >= tokens.length || at < -tokens.length);
        if (missing !== undefined) {
            const message = `prompt ${index} has ${tokens.length} tokens, and so no position ${missing}`;
            throw new SteerError("NO_ROW_SELECTED", message);
        }
    }
}
