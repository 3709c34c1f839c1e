import { Activations, type RowLabels } from "./activations.js";
import { lease, release } from "./buffer-lease.js";
import { type CaptureOptions, captureRequest } from "./capture-request.js";
import type { NativeCaptureLabels, NativeContext } from "./native.js";
import type { Sites } from "./site.js";
import { rowsPerPrompt, type TokenSelection } from "./token-selection.js";
import type { Tokenizer } from "./tokenizer.js";

/** What a capture needs to know of its context. */
export interface CaptureHost {
    native: NativeContext;
    sites: Sites;
    tokenizer: Tokenizer;
    sequences: number;
    batchSize: number;
}

/**
 * A live view of one site: each evaluation of the context replaces its rows, and one that fails or is aborted on its way
 * leaves none. {@link copy} keeps them.
 * Made by {@link Context.capture}. Where steering acts on the same site, rows are captured after it.
 */
export class Capture extends Activations {
    readonly #native: NativeContext;
    readonly #onDispose: (id: number) => Promise<void> | undefined;
    #disposed: Promise<void> | undefined;

    /** @internal */
    readonly id: number;
    /** The rows it takes. */
    readonly rows: TokenSelection;

    /** @internal */
    static attach(
        host: CaptureHost,
        options: CaptureOptions,
        onDispose: (id: number) => Promise<void> | undefined,
    ): Capture {
        const rowsToCome = (rows: TokenSelection): number => {
            const each = rowsPerPrompt(rows);
            return each === undefined ? host.batchSize : each * host.sequences;
        };
        const { site, layers, width, capacity, memory, rows, native } = captureRequest(
            options,
            host.sites,
            host.tokenizer,
            rowsToCome,
        );
        lease(memory);
        try {
            const id = host.native.attach(native);
            const held = new Activations(site, layers, width, capacity, memory, noLabels(layers.length));
            return new Capture(host.native, id, held, rows, onDispose);
        } catch (error) {
            release(memory);
            throw error;
        }
    }

    private constructor(
        native: NativeContext,
        id: number,
        held: Activations,
        rows: TokenSelection,
        onDispose: (id: number) => Promise<void> | undefined,
    ) {
        super(held.site, held.layers, held.width, held.capacity, held.data, noLabels(held.layers.length));
        this.#native = native;
        this.#onDispose = onDispose;
        this.id = id;
        this.rows = rows;
    }

    /** @internal Takes over the labels of an evaluation. */
    receive(labels: NativeCaptureLabels): void {
        this.rowLabels = labelsByLayer(labels);
    }

    /** @internal An evaluation failed half-way: what the memory holds is not what the labels say. */
    forget(): void {
        this.rowLabels = noLabels(this.layers.length);
    }

    /** Ends the capture; its memory stays as it is. Calling it again does nothing. */
    dispose(): Promise<void> {
        this.#disposed ??= this.#detach();
        return this.#disposed;
    }

    async #detach(): Promise<void> {
        try {
            await this.#native.detach(this.id, this.data);
            await this.#onDispose(this.id);
        } finally {
            release(this.data);
        }
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }
}

/** @internal Per captured layer the labels of its rows. */
export function labelsByLayer(labels: NativeCaptureLabels): RowLabels[] {
    const full = splitLabels(labels.full);
    const cut = splitLabels(labels.cut);
    return labels.isCut.map((isCut) => (isCut ? cut : full));
}

function noLabels(layers: number): RowLabels[] {
    const none = { sequence: new Int32Array(0), position: new Int32Array(0), token: new Int32Array(0) };
    return Array(layers).fill(none);
}

function splitLabels(triples: Int32Array): RowLabels {
    const count = triples.length / 3;
    const pick = (offset: number): Int32Array =>
        Int32Array.from({ length: count }, (_, i) => triples[3 * i + offset] as number);
    return { sequence: pick(0), position: pick(1), token: pick(2) };
}
