import { loadVector, SteeringVector, saveVector } from "llama-steer";
import { type Anything, type Case, isBoolean, isFloats, isNumber, isOptions, isString, never } from "./accepts.js";
import { newPath } from "./vector-files.js";

/** What vectors and their files take: each parameter with what is right for it. `vector` has two layers of 128. */
export async function vectorCases(vector: SteeringVector): Promise<Case[]> {
    const path = newPath(".gguf");
    await saveVector(vector, path);
    const make = (options: object): unknown => new SteeringVector([1], new Float32Array(128), options);
    const describe = (metadata: object): unknown => vector.withMetadata(metadata as Anything);
    const model = { architecture: "qwen3", layers: 8, hiddenSize: 128 };
    return [
        ["vector options", isOptions, (wrong) => new SteeringVector([1], new Float32Array(128), wrong)],
        ["norms", isFloats, (norms) => make({ norms })],
        ["vector metadata", isOptions, (metadata) => make({ metadata })],
        ["vector.add", never, (wrong) => vector.add(wrong)],
        ["vector.subtract", never, (wrong) => vector.subtract(wrong)],
        ["vector.scale", isNumber, (wrong) => vector.scale(wrong)],
        ["vector.orthogonalTo", never, (wrong) => vector.orthogonalTo(wrong)],
        ["one of several to be orthogonal to", never, (wrong) => vector.orthogonalTo([vector, wrong])],
        ["withNorms", isFloats, (wrong) => vector.withNorms(wrong)],
        ["withMetadata", isOptions, (wrong) => vector.withMetadata(wrong)],
        ["operation", isString, (operation) => describe({ operation })],
        ["metadata site", isString, (site) => describe({ site })],
        ["metadata method", isString, (method) => describe({ method })],
        ["metadata lambda", isNumber, (lambda) => describe({ lambda })],
        ["metadata samples", isNumber, (samples) => describe({ samples })],
        ["metadata seed", isNumber, (seed) => describe({ seed })],
        ["a free key", isString, (note) => describe({ note })],
        ["metadata model", never, (wrong) => describe({ model: wrong })],
        ["metadata architecture", isString, (architecture) => describe({ model: { ...model, architecture } })],
        ["metadata layers", isNumber, (layers) => describe({ model: { ...model, layers } })],
        ["metadata hiddenSize", isNumber, (hiddenSize) => describe({ model: { ...model, hiddenSize } })],
        ["metadata fingerprint", isString, (fingerprint) => describe({ model: { ...model, fingerprint } })],

        ["vector to save", never, (wrong) => saveVector(wrong, newPath(".gguf"))],
        ["path to save to", isString, (wrong) => saveVector(vector, wrong)],
        ["save options", isOptions, (wrong) => saveVector(vector, path, wrong)],
        ["format", never, (format) => saveVector(vector, path, { format })],
        ["layout", never, (layout) => saveVector(vector, path, { layout })],
        ["path to load", isString, (wrong) => loadVector(wrong)],
        ["load options", isOptions, (wrong) => loadVector(path, wrong)],
        ["dialect", never, (dialect) => loadVector(path, { dialect })],
        ["vector's model", never, (wrong) => loadVector(path, { model: wrong })],
        ["force", isBoolean, (force) => loadVector(path, { force })],
        ["as", isString, (wrong) => loadVector(path, { as: wrong })],
    ];
}
