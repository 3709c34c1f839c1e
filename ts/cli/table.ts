/** A column: its heading, and whether its cells are numbers, which stand to the right. */
export interface Column {
    head: string;
    right?: boolean;
}

/** Lines of a table whose columns are aligned. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
    const widths = columns.map(({ head }, i) =>
        Math.max(displayWidth(head), ...rows.map((row) => displayWidth(row[i] ?? ""))),
    );
    const line = (cells: readonly string[]): string =>
        columns
            .map(({ right }, i) => pad(cells[i] ?? "", widths[i] as number, right === true))
            .join("  ")
            .trimEnd();
    return [
        line(columns.map(({ head }) => head)),
        line(widths.map((width) => "-".repeat(width))),
        ...rows.map((row) => line(row)),
    ];
}

/** Lines of names and values, the values in one column. */
export function list(entries: readonly (readonly [name: string, value: string])[]): string[] {
    const width = Math.max(...entries.map(([name]) => displayWidth(name)));
    return entries.map(([name, value]) => `${pad(name, width, false)}  ${value}`.trimEnd());
}

function pad(text: string, width: number, right: boolean): string {
    const space = " ".repeat(Math.max(0, width - displayWidth(text)));
    return right ? space + text : text + space;
}

/** Code points, not UTF-16 units. */
const displayWidth = (text: string): number => [...text].length;
