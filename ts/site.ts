import { describe } from "./check.js";
import type { NativeSites } from "./native.js";
import { SteerError } from "./steer-error.js";

/** The sites that mean the same in every architecture, in the order of the computation. */
export const publicSites = ["attention_heads", "attention_out", "residual_mid", "mlp_out", "residual"] as const;

/** A place in the model whose activations can be captured. */
export interface Site {
    /** The layers that have it, ascending. */
    readonly layers: readonly number[];
    /** Elements in a row, at the first of these layers. */
    readonly width: number;
    /** Elements in a row, layer by layer: they differ in a few hybrid models. */
    readonly widths: readonly number[];
    /** Of `attention_heads`, layer by layer: heads in a row, one after the other, of `width / heads` elements each. */
    readonly heads?: readonly number[];
}

/** By name: the public sites first, then the nodes of llama.cpp's graph. */
export type Sites = Readonly<Record<string, Site>>;

/** @internal @throws SteerError SITE_UNKNOWN, with the list of what there is */
export function siteNamed(sites: Sites, name: string): Site {
    const found = Object.hasOwn(sites, name) ? sites[name] : undefined;
    if (found === undefined) {
        const list = Object.keys(sites).join(", ");
        throw new SteerError("SITE_UNKNOWN", `this model has no site ${describe(name)}; it has: ${list}`);
    }
    return found;
}

/** @internal */
export function sitesOf(native: NativeSites): Sites {
    const names = Object.keys(native);
    const first = publicSites.filter((name) => names.includes(name));
    const others = names.filter((name) => !(publicSites as readonly string[]).includes(name));
    return Object.fromEntries(
        [...first, ...others].map((name) => {
            const { layers, widths, heads } = native[name] as NativeSites[string];
            const site: Site = { layers, width: widths[0] as number, widths };
            return [name, heads.some((count) => count > 0) ? { ...site, heads } : site];
        }),
    );
}
