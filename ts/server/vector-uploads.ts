import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadVector, type Model, presetOf, SteerError, type SteeringVector } from "../index.js";
import { ApiError } from "./api-error.js";
import type { CheckedLimits } from "./limits.js";
import { readBytes } from "./read-body.js";
import type { VectorRegistry } from "./vector-registry.js";

/** Vectors that clients put there and take away. Those of the operator's are out of their reach. */
export class VectorUploads {
    readonly #registry: VectorRegistry;
    readonly #model: Model;
    readonly #limits: CheckedLimits;
    readonly #uploaded = new Set<string>();

    constructor(registry: VectorRegistry, model: Model, limits: CheckedLimits) {
        this.#registry = registry;
        this.#model = model;
        this.#limits = limits;
    }

    /**
     * Takes the bytes of a GGUF control vector or a safetensors file, made for this model.
     *
     * @throws ApiError 400, 408, 409, 413
     */
    async put(name: string, request: Request): Promise<Response> {
        this.#checkOwn(name);
        if (!this.#uploaded.has(name) && this.#uploaded.size >= this.#limits.uploads) {
            throw new ApiError(409, "too_many_vectors", `${this.#limits.uploads} vectors are uploaded already`);
        }
        const { uploadBytes, bodyMilliseconds } = this.#limits;
        const bytes = await readBytes(request, { bodyBytes: uploadBytes, bodyMilliseconds });
        const vector = await this.#parsed(bytes);
        const last = vector.layers.at(-1) as number;
        if (vector.hiddenSize !== this.#model.info.hiddenSize || last >= this.#model.info.layers) {
            throw new ApiError(400, "VECTOR_MISMATCH", "the vector is for a model of another width or depth");
        }
        this.#checkOwn(name);
        this.#registry.set(name, vector);
        this.#uploaded.add(name);
        return Response.json({ name, layers: vector.layers, hidden_size: vector.hiddenSize }, { status: 201 });
    }

    /** @throws ApiError 404, 409 */
    delete(name: string): Response {
        this.#checkOwn(name);
        if (!this.#uploaded.delete(name)) {
            throw new ApiError(404, "unknown_vector", "there is no vector of that name");
        }
        this.#registry.delete(name);
        return Response.json({ name, deleted: true });
    }

    #checkOwn(name: string): void {
        if (this.#registry.has(name) && !this.#uploaded.has(name)) {
            throw new ApiError(409, "vector_of_operator", "that vector is the operator's");
        }
    }

    /** The loader takes files: it has one of its own for a moment, whose name is not the client's. */
    async #parsed(bytes: Uint8Array): Promise<SteeringVector> {
        const folder = await mkdtemp(join(tmpdir(), "llama-steer-upload-"));
        const path = join(folder, "upload");
        try {
            await writeFile(path, bytes);
            const vector = await loadVector(path, { model: this.#model, as: "any" });
            // How it is to be used is read now: what is wrong with it is the uploader's to hear.
            presetOf(vector);
            return vector;
        } catch (error) {
            if (error instanceof SteerError) {
                const message = error.message.replaceAll(path, "the upload");
                throw new ApiError(400, error.code, message);
            }
            throw error;
        } finally {
            await rm(folder, { recursive: true, force: true });
        }
    }
}
