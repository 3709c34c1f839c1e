import { SteerError } from "../index.js";
import type { PromptSet } from "./prompt.js";
import type { TableRow } from "./prompt-tables.js";

/** Which column of a file is what, where its names are its own. */
export interface PromptColumns {
    id?: string | undefined;
    set?: string | undefined;
    prompt?: string | undefined;
    split?: string | undefined;
    answer?: string | undefined;
    key?: string | undefined;
    entity?: string | undefined;
    kind?: string | undefined;
}

type Shape = (values: Record<string, unknown>, set: PromptSet | undefined) => Record<string, unknown>;

/**
 * A row of JailbreakBench, of XSTest, or with columns named like a prompt's properties (or as `columns` says), as
 * properties of a prompt that are still to be checked.
 *
 * @throws SteerError INVALID_ARGUMENT where the row's prompt or set cannot be told
 */
export function promptProperties(
    row: TableRow,
    set: PromptSet | undefined,
    columns: PromptColumns | undefined,
): Record<string, unknown> {
    const { values, place } = row;
    const shape =
        columns !== undefined
            ? named(columns, place)
            : isJailbreakBench(values)
              ? jailbreakBench
              : isXsTest(values)
                ? xsTest
                : own;
    const properties = shape(values, set);
    if (properties.prompt === undefined) {
        const names = Object.keys(values).slice(0, 12).join(", ");
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${place} has no "prompt": say which column it is, as columns.prompt (${names})`,
        );
    }
    if (properties.set === undefined) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${place} has no "set", and its file was given none: read it as { path, set }`,
        );
    }
    return properties;
}

const own: Shape = (values, set) => ({ ...values, set: values.set ?? set });

function named(columns: PromptColumns, place: string): Shape {
    return (values, set) => {
        const renamed = Object.entries(columns).flatMap(([property, column]) => {
            if (column === undefined) {
                return [];
            }
            if (!(column in values)) {
                throw new SteerError("INVALID_ARGUMENT", `${place} has no column ${JSON.stringify(column)}`);
            }
            return [[property, values[column]] as const];
        });
        return own({ ...values, ...Object.fromEntries(renamed) }, set);
    };
}

const isJailbreakBench = (values: object): boolean => "Goal" in values && "Behavior" in values && "Index" in values;

/** Its harmful and its benign behaviours come in two files with the same columns: only the caller knows which is which. */
const jailbreakBench: Shape = (values, set) => ({
    id: set === undefined ? undefined : `jbb-${set}-${values.Index}`,
    set,
    prompt: values.Goal,
    entity: values.Behavior,
    kind: values.Category,
});

const isXsTest = (values: object): boolean => "prompt" in values && "type" in values && "focus" in values;

/** Safe prompts are to be answered, their unsafe contrasts to stay refused; both have the word in focus in common. */
const xsTest: Shape = (values, set) => {
    const unsafe = values.label === undefined ? String(values.type).startsWith("contrast") : values.label === "unsafe";
    return {
        id: `xstest-${values.id}`,
        set: set ?? (unsafe ? "preserve" : "neutral"),
        prompt: values.prompt,
        entity: values.focus,
        kind: values.type,
    };
};
