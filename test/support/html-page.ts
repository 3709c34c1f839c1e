import { type DefaultTreeAdapterTypes, parse } from "parse5";

export type Element = DefaultTreeAdapterTypes.Element;
type Node = DefaultTreeAdapterTypes.Node;

/** A page as a browser would read it. */
export class HtmlPage {
    /** Where the source is not what HTML asks for. */
    readonly faults: string[] = [];
    readonly elements: Element[];

    constructor(source: string) {
        const document = parse(source, {
            onParseError: ({ code, startLine }) => this.faults.push(`${startLine}: ${code}`),
        });
        this.elements = elementsIn(document);
    }

    named(name: string): Element[] {
        return this.elements.filter(({ tagName }) => tagName === name);
    }

    withClass(name: string): Element[] {
        return this.elements.filter((each) => classesOf(each).includes(name));
    }

    section(id: string): Element {
        const found = this.elements.find((each) => attributeOf(each, "id") === id);
        if (found === undefined) {
            throw new Error(`there is no ${id} on the page`);
        }
        return found;
    }

    /** Plots of a section, in their order. */
    plots(id: string): Element[] {
        return elementsIn(this.section(id)).filter((each) => classesOf(each).includes("plot"));
    }
}

/** A node's elements, itself not among them. */
export function elementsIn(node: Node): Element[] {
    const children = "childNodes" in node ? node.childNodes : [];
    return children.flatMap((child) => ("tagName" in child ? [child, ...elementsIn(child)] : []));
}

export function attributeOf({ attrs }: Element, name: string): string | undefined {
    return attrs.find((each) => each.name === name)?.value;
}

export function classesOf(element: Element): string[] {
    return attributeOf(element, "class")?.split(" ") ?? [];
}

export function textOf(node: Node): string {
    if ("value" in node) {
        return node.value;
    }
    return "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
}

/** The cells of a table, row by row, without its head. */
export function rowsOf(element: Element): string[][] {
    return elementsIn(element)
        .filter(({ tagName }) => tagName === "tr")
        .slice(1)
        .map((row) =>
            elementsIn(row)
                .filter(({ tagName }) => tagName === "th" || tagName === "td")
                .map(textOf),
        );
}

export interface Mark {
    title: string;
    fill: string | undefined;
    /** Where it is drawn, in pixels of its plot; 0, 0 for marks that are drawn in place. */
    x: number;
    y: number;
    path: string;
}

/** The marks of one layer of a plot. */
export function marksOf(plot: Element, layer: string): Mark[] {
    return elementsIn(plot)
        .filter((each) => classesOf(each).includes(`${layer}_marks`))
        .flatMap((group) => elementsIn(group).filter(({ tagName }) => tagName === "path"))
        .map((mark) => {
            const [, x = "0", y = "0"] =
                /^translate\(([-\d.]+),([-\d.]+)\)/.exec(attributeOf(mark, "transform") ?? "") ?? [];
            return {
                title: textOf(mark),
                fill: attributeOf(mark, "fill"),
                x: Number(x),
                y: Number(y),
                path: attributeOf(mark, "d") ?? "",
            };
        });
}
