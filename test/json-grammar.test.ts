import test from "ava";
import { createHandler, Scheduler } from "llama-steer/server";
import { exactContext } from "./support/testbed.js";

const scheduler = new Scheduler(await exactContext({ sequences: 4 }));
const handler = createHandler({ scheduler, model: "m" });

test.after.always(async () => {
    await scheduler.close();
    await scheduler.context.dispose();
});

async function ask(schema: unknown, more: object = {}): Promise<{ status: number; text: string; message: string }> {
    const response = await handler(
        new Request("http://x/v1/chat/completions", {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({
                model: "m",
                messages: [{ role: "user", content: "Where does the groso fish live?" }],
                response_format: { type: "json_schema", json_schema: { name: "s", schema } },
                max_tokens: 160,
                ...more,
            }),
        }),
    );
    // biome-ignore lint/suspicious/noExplicitAny: looked into as a client would
    const body = (await response.json()) as any;
    return {
        status: response.status,
        text: body.choices?.[0]?.finish_reason === "stop" ? body.choices[0].message.content : "",
        message: body.error?.message ?? "",
    };
}

type Check = (value: unknown) => boolean;
const isText = (value: unknown, least = 0, most = Number.POSITIVE_INFINITY): boolean =>
    typeof value === "string" && [...value].length >= least && [...value].length <= most;
const hasKeys = (value: unknown, ...keys: string[]): boolean => Object.keys(value as object).join() === keys.join();
const isList = (value: unknown): value is unknown[] => Array.isArray(value);

const short = { type: "string", maxLength: 6 };
/** Schemas, and whether a value is valid under them, said in another way. */
const cases: [name: string, schema: unknown, valid: Check][] = [
    ["an enum", { enum: ["yes", 'no "quoted" \\ é', 3, null, { a: [1] }] }, (value) => JSON.stringify(value) !== ""],
    [
        "a constant",
        { const: { a: "x", b: [true, null] } },
        (value) => JSON.stringify(value) === '{"a":"x","b":[true,null]}',
    ],
    ["a bounded string", { type: "string", minLength: 2, maxLength: 5 }, (value) => isText(value, 2, 5)],
    ["an integer", { type: "integer" }, Number.isSafeInteger],
    ["a boolean or null", { type: ["boolean", "null"] }, (value) => value === null || typeof value === "boolean"],
    [
        "a list of two to three",
        { type: "array", items: { type: "boolean" }, minItems: 2, maxItems: 3 },
        (value) =>
            isList(value) && value.length >= 2 && value.length <= 3 && value.every((x) => typeof x === "boolean"),
    ],
    ["an empty list", { type: "array", maxItems: 0 }, (value) => isList(value) && value.length === 0],
    [
        "an object, all of it required",
        { type: "object", properties: { place: short, deep: { type: "boolean" } }, required: ["place", "deep"] },
        (value) => hasKeys(value, "place", "deep") && isText((value as { place: string }).place, 0, 6),
    ],
    [
        "an object with optional members",
        {
            type: "object",
            properties: { a: { type: "null" }, b: { type: "boolean" }, c: { type: "null" }, d: { type: "null" } },
            required: ["b"],
            additionalProperties: false,
        },
        (value) => /^(a,)?b(,c)?(,d)?$/.test(Object.keys(value as object).join()),
    ],
    [
        "one of two forms",
        { anyOf: [{ type: "null" }, { type: "array", items: { const: 1 }, maxItems: 2 }] },
        (value) => value === null || (isList(value) && value.every((x) => x === 1)),
    ],
    [
        "a tree by reference",
        {
            $ref: "#/$defs/node",
            $defs: {
                node: {
                    type: "object",
                    properties: { left: { anyOf: [{ type: "null" }, { $ref: "#/$defs/leaf" }] } },
                    required: ["left"],
                },
                leaf: { const: "leaf" },
            },
        },
        (value) => [null, "leaf"].includes((value as { left: string | null }).left),
    ],
    [
        "the values of an enum that are of its type",
        { type: ["integer", "string"], enum: [1.5, null, "a", 7, true] },
        (value) => value === "a" || value === 7,
    ],
    ["a string where only its length is bounded", { minLength: 1, maxLength: 3 }, (value) => isText(value, 1, 3)],
    ["a list where only its length is bounded", { maxItems: 0 }, (value) => isList(value) && value.length === 0],
    [
        "an object where only others are forbidden",
        { additionalProperties: false },
        (value) => JSON.stringify(value) === "{}",
    ],
    ["an empty object", { type: "object", additionalProperties: false }, (value) => JSON.stringify(value) === "{}"],
];

for (const [name, schema, valid] of cases) {
    test(`answers are ${name}, greedy and at high temperature`, async (t) => {
        let complete = 0;
        for (const sampling of [{ temperature: 0 }, { temperature: 2, seed: 1 }, { temperature: 2, seed: 2 }]) {
            const { status, text, message } = await ask(schema, sampling);
            t.is(status, 200, message);
            if (text !== "") {
                complete++;
                t.true(valid(JSON.parse(text)), text);
            }
        }
        t.true(complete > 0, "some answer came to its end");
    });
}

const refusedSchemas: [schema: unknown, message: RegExp][] = [
    [undefined, /schema: /],
    [5, /must be a schema/],
    [{ type: "text" }, /type that is not one of/],
    [{ type: [] }, /type/],
    [{ type: "string", pattern: "a+" }, /"pattern"/],
    [{ type: "integer", minimum: 3 }, /"minimum"/],
    [{ type: "object", properties: { a: { not: {} } } }, /properties\.a has "not"/],
    [{ type: "object", properties: [] }, /properties as an object/],
    [{ type: "object", properties: {}, required: ["b"] }, /requires "b"/],
    [{ allOf: [{ type: "null" }, { type: "null" }] }, /allOf/],
    [{ anyOf: [] }, /anyOf/],
    [{ enum: [] }, /enum/],
    [{ $ref: "http://example.com/schema" }, /\$ref/],
    [{ $ref: "#/$defs/none" }, /not there/],
    [{ $ref: "#/constructor" }, /not there/],
    [{ $ref: "#/%zz" }, /not there/],
    [{ $ref: "#/$defs/a", $defs: { a: true }, minLength: 3 }, /"minLength" beside \$ref/],
    [{ type: "object", properties: { a: true }, anyOf: [{ required: ["a"] }] }, /"type" beside anyOf/],
    [{ oneOf: [{ type: "null" }], required: ["a"] }, /"required" beside oneOf/],
    [{ allOf: [{ type: "null" }], additionalProperties: false }, /"additionalProperties" beside allOf/],
    [{ enum: ["a"], maxLength: 1 }, /"maxLength" beside enum/],
    [{ const: 1, enum: [1] }, /"enum" beside const/],
    [{ type: "string", enum: [1, null] }, /no value .* of its type/],
    [{ type: "integer", const: 1.5 }, /no value .* of its type/],
    [{ required: ["a"] }, /requires "a"/],
    [{ type: "object", properties: { a: true }, additionalProperties: 5 }, /true, false or a schema/],
    [{ enum: Array.from({ length: 9000 }, (_, i) => `value number ${i}`) }, /characters/],
    [{ $ref: "#" }, /left recursion|recurs/i],
    [{ type: "string", maxLength: 100_000 }, /2000/],
    [{ type: "string", minLength: -1 }, /minLength/],
    [{ type: "array", minItems: 3, maxItems: 2 }, /below/],
    [
        Array(70)
            .fill(0)
            .reduce((inner) => ({ type: "array", items: inner }), true),
        /nested/,
    ],
];

for (const [schema, message] of refusedSchemas) {
    test(`refused: ${JSON.stringify(schema)?.slice(0, 60)}`, async (t) => {
        const answer = await ask(schema);
        t.is(answer.status, 400);
        t.regex(answer.message, message);
    });
}

test("an object of any names holds its values to their schema", async (t) => {
    const schema = { type: "object", additionalProperties: { const: 1 } };
    // The end of a name is likely enough where hardly anything else is.
    const logit_bias = await biasTowards('"', ":", "1", "{", "}");
    const { text, message } = await ask(schema, { logit_bias, temperature: 0.5, seed: 3 });
    t.true(text !== "", message);
    t.true(
        Object.values(JSON.parse(text) as object).every((value) => value === 1),
        text,
    );
});

/** A bias that makes some texts of one token likely. */
async function biasTowards(...texts: string[]): Promise<Record<number, number>> {
    const { tokenizer } = scheduler.context.model;
    return Object.fromEntries(texts.map((text) => [tokenizer.encode(text).at(-1), 30]));
}

test("json_object gives an object", async (t) => {
    for (const seed of [1, 2, 3]) {
        const { text, status } = await ask({}, { response_format: { type: "json_object" }, temperature: 1.5, seed });
        t.is(status, 200);
        t.true(text === "" || typeof JSON.parse(text) === "object");
    }
});
