import { z } from "zod";
import { type SafetensorsData, writeSafetensors } from "../formats/safetensors-writer.js";
import { type Activations, publicSites, SteerError } from "../index.js";
import { ApiError } from "./api-error.js";
import { checkedBody, checkedBy } from "./checked-body.js";
import { type Asker, checkServing, type EndpointHost } from "./completions-endpoint.js";
import { messagesOf, messagesSchema } from "./message-fields.js";
import { tokensFault } from "./prompt-field.js";
import { readJson } from "./read-body.js";
import { requestSteering, steeringSchema } from "./steering-field.js";

const tokens = checkedBy<number[]>((value) =>
    Array.isArray(value) && typeof value[0] === "number" ? tokensFault(value) : { path: [], message: "must be tokens" },
);

function bodySchema(strength: number) {
    const layer = z.int().min(0);
    return z.strictObject({
        model: z.string(),
        input: z.union([z.string(), tokens, messagesSchema]),
        site: z.enum(publicSites).default("residual"),
        layers: z.union([z.literal("all"), layer, z.array(layer).min(1).max(1024)]).default("all"),
        rows: z.enum(["last-prompt", "prompt"]).default("last-prompt"),
        encoding_format: z.enum(["base64", "safetensors"]).default("base64"),
        steering: steeringSchema(strength).nullish(),
        user: z.string().nullish(),
    });
}

/**
 * `/v1/activations`: what a prompt makes of a site, for chosen layers and rows. Computed as an answer of one token, in its
 * turn and in pieces like any other.
 */
export class ActivationsEndpoint {
    readonly #host: EndpointHost;
    readonly #schema: ReturnType<typeof bodySchema>;

    constructor(host: EndpointHost) {
        this.#host = host;
        this.#schema = bodySchema(host.limits.strength);
    }

    async answer(request: Request, { client, conversation }: Asker): Promise<Response> {
        const { scheduler, vectors, fixed, limits } = this.#host;
        const body = checkedBody(this.#schema, await readJson(request, limits));
        checkServing(this.#host, body.model);
        const { model } = scheduler.context;
        const input = promptOf(body.input);
        conversation?.ask([input], model.tokenizer);
        const prompt = model.encodePrompt(input);
        const layers = body.layers === "all" ? model.info.layers : [body.layers].flat().length;
        const rows = body.rows === "prompt" ? prompt.length : 1;
        if (layers * rows * model.info.hiddenSize * 4 > limits.activationBytes) {
            throw new ApiError(
                400,
                "too_many_activations",
                `that would be more than ${limits.activationBytes} bytes: ask for fewer layers or rows`,
                "layers",
            );
        }
        const steering = requestSteering(body.steering ?? [], vectors, fixed);
        const stop = new AbortController();
        const signal = AbortSignal.any([request.signal, stop.signal]);
        const capture = { site: body.site, layers: body.layers, rows: body.rows };
        const order = { prompt, maxTokens: 1, capture, client, signal };
        const answer = scheduler.submit(steering === undefined ? order : { ...order, steering });
        const timer = setTimeout(() => stop.abort(), limits.requestMilliseconds);
        const { activations, promptTokens } = await answer.result().finally(() => clearTimeout(timer));
        if (activations === undefined) {
            throw new SteerError("INTERNAL", "an answer with a capture brought no activations");
        }
        return body.encoding_format === "base64"
            ? Response.json({ ...described(activations), model: body.model, usage: { prompt_tokens: promptTokens } })
            : new Response(safetensorsOf(activations) as Uint8Array<ArrayBuffer>, {
                  headers: { "content-type": "application/octet-stream" },
              });
    }
}

function promptOf(input: z.output<ReturnType<typeof bodySchema>>["input"]) {
    if (typeof input === "string") {
        return input;
    }
    return typeof input[0] === "number"
        ? Int32Array.from(input as number[])
        : messagesOf(input as z.output<typeof messagesSchema>);
}

function bytesOf(array: Float32Array | Int32Array): Buffer {
    return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

/** Rows as float32, little-endian, row after row, in base64. */
function described(activations: Activations): object {
    const data = activations.layers.map((layer) => {
        const { position, token } = activations.labels(layer);
        const values = bytesOf(activations.layer(layer)).toString("base64");
        return { object: "activations", layer, positions: [...position], tokens: [...token], values };
    });
    return { object: "list", site: activations.site, width: activations.width, data };
}

/** For each layer the tensors `layer.N`, [rows][width], and `position.N` and `token.N`, [rows]. */
function safetensorsOf(activations: Activations): Uint8Array {
    const tensors = activations.layers.flatMap((layer): SafetensorsData[] => {
        const { position, token } = activations.labels(layer);
        const rows = position.length;
        return [
            {
                name: `layer.${layer}`,
                type: "F32",
                shape: [rows, activations.width],
                bytes: bytesOf(activations.layer(layer)),
            },
            { name: `position.${layer}`, type: "I32", shape: [rows], bytes: bytesOf(position) },
            { name: `token.${layer}`, type: "I32", shape: [rows], bytes: bytesOf(token) },
        ];
    });
    return writeSafetensors({ site: activations.site }, tensors);
}
