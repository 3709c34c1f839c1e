import { z } from "zod";
import { ApiError } from "./api-error.js";

/** What is wrong with a value, and where in it. */
export interface Fault {
    path: (string | number)[];
    message: string;
}

/**
 * A schema by a function that stops at the first fault. What is wrong with each of a million elements takes zod seconds to
 * collect, in which nobody else is served; so long lists are for functions.
 */
export function checkedBy<Value>(faultOf: (value: unknown) => Fault | undefined) {
    return z.custom<Value>().superRefine((value, context) => {
        const fault = faultOf(value);
        if (fault !== undefined) {
            context.addIssue({ code: "custom", ...fault });
        }
    });
}

/** @throws ApiError 400 naming the field */
export function checkedBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
    const result = schema.safeParse(body);
    if (result.success) {
        return result.data;
    }
    const issue = deepest(result.error.issues);
    const unknown = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
    const path = [...(issue?.path ?? []), ...unknown];
    const param = path.length === 0 ? null : path.map(String).join(".").slice(0, 200);
    const message = unknown.length > 0 ? "there is no such field here" : issue?.message.slice(0, 500);
    throw new ApiError(400, "invalid_value", `${param === null ? "the body" : param}: ${message}`, param);
}

/** Of a value that fits none of several forms, the issue that lies deepest: that of the form it was likely meant to have. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
    const found = issues.map((issue) => {
        const within = issue.code === "invalid_union" ? deepest(issue.errors.flat()) : undefined;
        return within === undefined || within.path.length === 0
            ? issue
            : { ...within, path: [...issue.path, ...within.path] };
    });
    return found.reduce<z.core.$ZodIssue | undefined>(
        (best, each) => (best === undefined || each.path.length > best.path.length ? each : best),
        undefined,
    );
}
