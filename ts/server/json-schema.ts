import { ApiError } from "./api-error.js";

export type Schema = Record<string, unknown>;

/** What says nothing of the form. */
const annotations = new Set([
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
]);
const understood = new Set([
    "type",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
    "properties",
    "additionalProperties",
    "required",
    "items",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
]);
const types = ["object", "array", "string", "number", "integer", "boolean", "null"];

/** A keyword that would have to be ignored. */
export function unknownKeyword(schema: Schema): string | undefined {
    return Object.keys(schema).find((key) => !annotations.has(key) && !understood.has(key));
}

export function isSchema(value: unknown): value is Schema {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Holds that no keyword beside the one that decides would be ignored.
 *
 * @throws ApiError 400
 */
export function alone(schema: Schema, key: string, at: string, allowed: readonly string[] = []): void {
    const beside = Object.keys(schema).find(
        (other) => other !== key && !allowed.includes(other) && understood.has(other) && schema[other] !== undefined,
    );
    if (beside !== undefined) {
        throw refused(at, `has ${JSON.stringify(beside)} beside ${key}, and answers can be held to one of them only`);
    }
}

/** The types that a schema names; all where it names none. @throws ApiError 400 */
export function typesOf(type: unknown, at: string): string[] {
    const list: unknown[] = type === undefined ? types : [type].flat();
    if (list.length === 0 || list.some((each) => !types.includes(each as string))) {
        throw refused(at, `has a type that is not one of ${types.join(", ")}`);
    }
    return list as string[];
}

/** What a schema without a type is narrowed to: the type that its keywords speak of. */
export function impliedType({ properties, required, additionalProperties, ...rest }: Schema): string | undefined {
    const speaks = (...values: unknown[]): boolean => values.some((value) => value !== undefined);
    if (speaks(properties, required, additionalProperties)) {
        return "object";
    }
    if (speaks(rest.items, rest.minItems, rest.maxItems)) {
        return "array";
    }
    return speaks(rest.minLength, rest.maxLength) ? "string" : undefined;
}

export function isOfType(value: unknown, type: string): boolean {
    switch (type) {
        case "null":
            return value === null;
        case "array":
            return Array.isArray(value);
        case "object":
            return isSchema(value);
        case "integer":
            return Number.isInteger(value);
        default:
            return typeof value === type;
    }
}

export function refused(at: string, what: string): ApiError {
    return new ApiError(400, "unsupported_schema", `${at.slice(0, 200)} ${what}`, "response_format");
}
