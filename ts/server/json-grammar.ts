import {
    alone,
    impliedType,
    isOfType,
    isSchema,
    refused,
    type Schema,
    typesOf,
    unknownKeyword,
} from "./json-schema.js";

/** JSON values of any form. White space is bounded, so that no answer can consist of it. */
const anyJson = [
    `ws ::= "" | " " | "\\n" " "{0,16}`,
    `char ::= [^"\\\\\\x00-\\x1F\\x7F] | "\\\\" (["\\\\/bfnrt] | "u" [0-9a-fA-F]{4})`,
    `string ::= "\\"" char* "\\""`,
    `integer ::= "-"? ("0" | [1-9] [0-9]{0,15})`,
    `number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?`,
    `boolean ::= "true" | "false"`,
    `null ::= "null"`,
    `member ::= string ":" ws value`,
    `object ::= "{" ws (member ("," ws member)* ws)? "}"`,
    `array ::= "[" ws (value ("," ws value)* ws)? "]"`,
    "value ::= object | array | string | number | boolean | null",
];

const deepest = 64;
/** Repetitions that a grammar may ask for. */
const mostRepeated = 2000;
/** It is read where all requests are taken, before anything else is done for them. */
const longestGrammar = 2 ** 17;

/** A grammar of all JSON objects. */
export function jsonObjectGrammar(): string {
    return ["root ::= object", ...anyJson].join("\n");
}

/**
 * A grammar whose texts are valid under a JSON schema. Of what a schema leaves open it takes the narrowest: properties come in
 * their order, and none that are not named where some are. `oneOf` is read as `anyOf`, `format` as a remark.
 *
 * @throws ApiError 400 naming a keyword that it cannot hold an answer to
 */
export function jsonSchemaGrammar(schema: unknown): string {
    return new SchemaCompiler(schema).grammar();
}

class SchemaCompiler {
    readonly #document: unknown;
    readonly #rules: string[] = [];
    readonly #references = new Map<string, string>();
    #count = 0;

    constructor(document: unknown) {
        this.#document = document;
    }

    grammar(): string {
        const root = this.#compile(this.#document, "schema", 0);
        const grammar = [`root ::= ${root}`, ...this.#rules, ...anyJson].join("\n");
        if (grammar.length > longestGrammar) {
            throw refused("schema", `makes a grammar of more than ${longestGrammar} characters`);
        }
        return grammar;
    }

    /** A rule of its own. Returns its name. */
    #rule(body: string): string {
        const name = `r${this.#count++}`;
        this.#rules.push(`${name} ::= ${body}`);
        return name;
    }

    #compile(schema: unknown, at: string, depth: number): string {
        if (schema === true) {
            return "value";
        }
        if (!isSchema(schema) || depth > deepest) {
            throw refused(at, depth > deepest ? `is nested more than ${deepest} deep` : "must be a schema");
        }
        const unknown = unknownKeyword(schema);
        if (unknown !== undefined) {
            throw refused(at, `has ${JSON.stringify(unknown.slice(0, 40))}, which answers cannot be held to here`);
        }
        if (schema.$ref !== undefined) {
            alone(schema, "$ref", at);
            return this.#reference(schema.$ref, at, depth);
        }
        if ("const" in schema || schema.enum !== undefined) {
            alone(schema, "const" in schema ? "const" : "enum", at, ["type"]);
            return this.#literals("const" in schema ? [schema.const] : schema.enum, typesOf(schema.type, at), at);
        }
        for (const key of ["anyOf", "oneOf", "allOf"] as const) {
            if (schema[key] !== undefined) {
                alone(schema, key, at);
                return this.#alternatives(key, schema[key], at, depth);
            }
        }
        return this.#typed(schema, at, depth);
    }

    #reference(reference: unknown, at: string, depth: number): string {
        if (typeof reference !== "string" || !/^#(\/|$)/.test(reference)) {
            throw refused(at, "has a $ref that does not begin with #/");
        }
        const known = this.#references.get(reference);
        if (known !== undefined) {
            return known;
        }
        const name = `ref${this.#references.size}`;
        this.#references.set(reference, name);
        let target: unknown = this.#document;
        for (const part of reference.split("/").slice(1)) {
            const key = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
            target = isSchema(target) && Object.hasOwn(target, key) ? target[key] : undefined;
        }
        if (target === undefined) {
            throw refused(at, `refers to ${JSON.stringify(reference.slice(0, 80))}, which is not there`);
        }
        this.#rules.push(`${name} ::= ${this.#compile(target, reference, depth + 1)}`);
        return name;
    }

    #literals(values: unknown, of: readonly string[], at: string): string {
        if (!Array.isArray(values)) {
            throw refused(at, "has an enum that is no list of at least one value");
        }
        const fitting = values.filter((value) => of.some((type) => isOfType(value, type)));
        if (fitting.length === 0) {
            throw refused(at, "has no value in its const or enum that is of its type");
        }
        return this.#rule(fitting.map((value) => literal(JSON.stringify(value))).join(" | "));
    }

    #alternatives(key: "anyOf" | "oneOf" | "allOf", schemas: unknown, at: string, depth: number): string {
        if (!Array.isArray(schemas) || schemas.length === 0) {
            throw refused(at, `has an ${key} that is no list of at least one schema`);
        }
        if (key === "allOf" && schemas.length > 1) {
            throw refused(at, "has an allOf of several schemas, which answers cannot be held to here");
        }
        return this.#rule(schemas.map((each, i) => this.#compile(each, `${at}.${key}.${i}`, depth + 1)).join(" | "));
    }

    #typed(schema: Schema, at: string, depth: number): string {
        const type = schema.type ?? impliedType(schema);
        if (type === undefined) {
            return "value";
        }
        const list = typesOf(type, at);
        return this.#rule(list.map((each) => this.#ofType(each as string, schema, at, depth)).join(" | "));
    }

    #ofType(type: string, schema: Schema, at: string, depth: number): string {
        switch (type) {
            case "object":
                return this.#object(schema, at, depth);
            case "array": {
                const item = this.#compile(schema.items ?? true, `${at}.items`, depth + 1);
                const [least, most] = bounds(schema, "Items", at);
                if (most === 0) {
                    return `"[" ws "]"`;
                }
                const more = `(${item} ("," ws ${item}){${Math.max(0, least - 1)},${most === undefined ? "" : most - 1}} ws)`;
                return `"[" ws ${more}${least === 0 ? "?" : ""} "]"`;
            }
            case "string": {
                const [least, most] = bounds(schema, "Length", at);
                return `"\\"" char{${least},${most ?? ""}} "\\""`;
            }
            default:
                return type;
        }
    }

    #object(schema: Schema, at: string, depth: number): string {
        const { properties = {}, required = [], additionalProperties } = schema;
        if (!isSchema(properties) || !Array.isArray(required)) {
            throw refused(at, "must have properties as an object and required as a list");
        }
        if (
            additionalProperties !== undefined &&
            typeof additionalProperties !== "boolean" &&
            !isSchema(additionalProperties)
        ) {
            throw refused(at, "must have additionalProperties as true, false or a schema");
        }
        const names = Object.keys(properties);
        const missing = required.find((name) => !names.includes(name as string));
        if (missing !== undefined) {
            throw refused(at, `requires ${JSON.stringify(missing)}, which is not among its properties`);
        }
        if (names.length === 0) {
            return this.#map(additionalProperties, at, depth);
        }
        // From the last to the first: what may follow, behind another member and as the first of them.
        let [behind, first] = ["", ""];
        for (const name of names.reverse()) {
            const value = this.#compile(properties[name], `${at}.properties.${name}`, depth + 1);
            const member = this.#rule(`${literal(JSON.stringify(name))} ":" ws ${value}`);
            const needed = required.includes(name);
            const next = `${member} ${behind}`;
            const skipped: [string, string] = [behind, first];
            behind = this.#rule(`"," ws ${next}${needed ? "" : ` | ${skipped[0] || '""'}`}`);
            first = this.#rule(`${next}${needed ? "" : ` | ${skipped[1] || '""'}`}`);
        }
        return `"{" ws ${first} ws "}"`;
    }

    #map(values: unknown, at: string, depth: number): string {
        if (values === false) {
            return `"{" ws "}"`;
        }
        const value = this.#compile(values ?? true, `${at}.additionalProperties`, depth + 1);
        const member = this.#rule(`string ":" ws ${value}`);
        return `"{" ws (${member} ("," ws ${member})* ws)? "}"`;
    }
}

/** Of a reference, which is part of a URL. What is no good escape stands for itself. */
function decoded(part: string): string {
    try {
        return decodeURIComponent(part);
    } catch {
        return part;
    }
}

function literal(text: string): string {
    return `"${text.replaceAll(/[\\"]/g, "\\$&")}"`;
}

function bounds(schema: Schema, of: "Items" | "Length", at: string): [least: number, most: number | undefined] {
    const { [`min${of}`]: least = 0, [`max${of}`]: most } = schema;
    for (const value of [least, most ?? 0]) {
        if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > mostRepeated) {
            throw refused(at, `must have min${of} and max${of} from 0 to ${mostRepeated}`);
        }
    }
    if (most !== undefined && (most as number) < (least as number)) {
        throw refused(at, `has a max${of} below its min${of}`);
    }
    return [least as number, most as number | undefined];
}
