import { z } from "zod";
import { SteerError } from "../index.js";

/**
 * What a caller gave, checked against a schema, with its defaults filled in.
 *
 * @throws SteerError INVALID_ARGUMENT, naming the option
 */
export function checkedOptions<Schema extends z.ZodType>(
    schema: Schema,
    value: unknown,
    name: string,
): z.output<Schema> {
    const result = schema.safeParse(value);
    if (!result.success) {
        const [issue] = result.error.issues;
        const where = [name, ...(issue?.path ?? [])].map(String).join(".");
        throw new SteerError("INVALID_ARGUMENT", `${where}: ${issue?.message}`);
    }
    return result.data;
}

/** A whole number of 1 or more. */
export const count = z.int().min(1);
