import type { RowType } from "./activations.js";
import { checkCount, checkObject, checkOneOf, checkString } from "./check.js";
import { beginOfElements, sharedElements } from "./elements.js";
import { type LayerSelection, selectLayers } from "./layers.js";
import type { NativeCapture } from "./native.js";
import { type Sites, siteNamed } from "./site.js";
import { compileSelection, type TokenSelection } from "./token-selection.js";
import type { Tokenizer } from "./tokenizer.js";

export const rowTypes = ["f32", "f16"] as const;

export interface CaptureOptions {
    /**
     * What to capture: one of the public sites, or a raw node name of llama.cpp. Default `"residual"`, the output of a
     * block. {@link Model.sites} lists what a model has.
     */
    site?: string;
    /** Default `"all"`. */
    layers?: LayerSelection;
    /**
     * Default `"all"`: every token, written in place by the model itself; the last block, which computes only the rows
     * whose logits are asked for, then holds fewer. All other choices are gathered inside the graph, and their rows are
     * computed at the last block too (at the price of their logits), unless it is not among the layers.
     */
    rows?: TokenSelection;
    /** Default `"f32"`. Half precision takes half the memory, and one copy that rounds. */
    type?: RowType;
    /**
     * Rows per layer to make room for. Default: what `into` holds where it is given; else what can come. It never grows by
     * itself: more rows than that are refused with BUFFER_TOO_SMALL before anything is computed.
     */
    capacity?: number;
    /**
     * Memory to write to instead of our own: [layers][capacity][width] elements, from its beginning: a Float32Array, or a
     * Uint16Array for type `"f16"`. Shared memory can be read by other threads; an ArrayBuffer cannot be transferred any
     * more once it was lent.
     */
    into?: Float32Array | Uint16Array;
}

/** What a capture comes to for one model: checked, with its memory. */
export interface CaptureRequest {
    site: string;
    layers: readonly number[];
    width: number;
    rows: TokenSelection;
    capacity: number;
    memory: Float32Array | Uint16Array;
    native: NativeCapture;
}

/**
 * Checks options against a model, and finds the memory.
 *
 * @param rowsToCome how many rows a selection may bring, where no capacity is given
 * @throws SteerError SITE_UNKNOWN, LAYER_OUT_OF_RANGE, BUFFER_TOO_SMALL, OUT_OF_MEMORY, INVALID_ARGUMENT
 */
export function captureRequest(
    options: CaptureOptions,
    sites: Sites,
    tokenizer: Tokenizer,
    rowsToCome: (rows: TokenSelection) => number,
): CaptureRequest {
    checkObject(options, "capture options");
    const { site = "residual", layers = "all", rows = "all", type = "f32", capacity, into } = options;
    checkString(site, "site");
    checkOneOf(type, rowTypes, "type");
    const found = siteNamed(sites, site);
    const selected = selectLayers(layers, found.layers);
    const selection = compileSelection(rows, "rows", tokenizer);
    if (capacity !== undefined) {
        checkCount(capacity, "capacity");
    }
    const width = found.widths[found.layers.indexOf(selected[0] as number)] as number;
    const elements = (count: number): number => selected.length * count * width;
    const memory =
        into === undefined
            ? sharedElements(type, elements(capacity ?? rowsToCome(rows)))
            : beginOfElements(into, type, capacity === undefined ? undefined : elements(capacity));
    return {
        site,
        layers: selected,
        width,
        rows,
        capacity: Math.floor(memory.length / selected.length / width),
        memory,
        native: { site, layers: Int32Array.from(selected), rows: selection, half: type === "f16", into: memory },
    };
}
