/** Text that is HTML already. */
export class Html {
    readonly source: string;

    constructor(source: string) {
        this.source = source;
    }
}

/** What a template takes: everything but `Html` is text, and is escaped. */
export type Content = Html | string | number | undefined | readonly Content[];

/**
 * HTML of a template. Answers of models and names of files are hostile text: no place of a template can be filled with markup
 * by accident, between tags or in quoted attributes.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
    return new Html(strings.reduce((text, each, i) => text + sourceOf(values[i - 1]) + each));
}

function sourceOf(content: Content): string {
    if (content instanceof Html) {
        return content.source;
    }
    if (typeof content === "string" || typeof content === "number") {
        return escaped(String(content));
    }
    return content === undefined ? "" : content.map(sourceOf).join("");
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
    return visible(text).replace(/[&<>"']/g, (each) => entities[each] as string);
}

/** Control characters and halves of surrogate pairs have no place in a page; what was there is still seen. */
export function visible(text: string): string {
    return text.replace(/(?![\t\n\r])\p{Cc}|\p{Surrogate}/gu, "\ufffd");
}
