import { Activations } from "./activations.js";
import { describe } from "./check.js";
import { rowSource } from "./find-condition.js";
import { native } from "./native.js";
import { SteerError } from "./steer-error.js";

/**
 * The mean Euclidean norm of each layer's rows, [activations.layers.length]: what a strength in units of the residual
 * stream's norm is a multiple of. Summed up in float64, on the calling thread, which 250 million numbers keep busy for
 * about a second.
 *
 * @throws SteerError EMPTY_CLASS for a layer without rows, NOT_FINITE, BUFFER_DETACHED, INVALID_ARGUMENT
 */
export function meanNorms(activations: Activations): Float32Array {
    if (!(activations instanceof Activations)) {
        throw new SteerError("INVALID_ARGUMENT", `activations must be Activations, not ${describe(activations)}`);
    }
    const { layers, width } = activations;
    const source = rowSource(activations, layers);
    return native.meanNorms(source, Int32Array.from(layers), width, new Float32Array(layers.length));
}
