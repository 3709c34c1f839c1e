import { z } from "zod";
import { ApiError } from "./api-error.js";
import { checkedBy } from "./checked-body.js";

const text = z.string().nullish();

/** Fields of OpenAI's that ask for what there is not. */
const toolFields = ["tools", "tool_choice", "functions", "function_call", "parallel_tool_calls"];

/** Fields that clients send by themselves and that ask nothing of the answer. With values that would, they are refused. */
export const fieldsWithoutEffect = {
    user: text,
    safety_identifier: text,
    prompt_cache_key: text,
    metadata: checkedBy<Record<string, string>>((value) =>
        isObject(value) && Object.values(value).every((each) => typeof each === "string")
            ? undefined
            : { path: [], message: "must be an object of strings" },
    ).nullish(),
    store: z.literal(false, "answers are not stored here").nullish(),
    ...Object.fromEntries([...toolFields, "audio"].map((name) => [name, z.null().optional()])),
    modalities: z.tuple([z.literal("text")]).nullish(),
    service_tier: z.enum(["auto", "default"], "there is one tier here").nullish(),
};

/** @throws ApiError 400 that says what this server does not do, rather than that a field is unknown */
export function refuseUnsupported(body: unknown): void {
    const given = isObject(body) ? body : {};
    const tools = toolFields.find((name) => isGiven(given, name));
    if (tools !== undefined) {
        throw new ApiError(400, "tools_unsupported", "this server answers with text and knows no tools", tools);
    }
    const { modalities } = given;
    const textOnly = Array.isArray(modalities) && modalities.length === 1 && modalities[0] === "text";
    const others = isGiven(given, "audio") ? "audio" : isGiven(given, "modalities") && !textOnly ? "modalities" : null;
    if (others !== null) {
        throw new ApiError(400, "modality_unsupported", "this server answers with text only", others);
    }
}

/** Own fields alone, and null is as good as none. */
function isGiven(body: Record<string, unknown>, name: string): boolean {
    return Object.hasOwn(body, name) && body[name] !== null;
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
