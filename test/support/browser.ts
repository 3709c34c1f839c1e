import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** The first Chromium that runs here, if there is one. */
export function findChromium(): string | undefined {
    return names.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);
}

/** In pixels of the page. */
export interface Region {
    x: number;
    y: number;
    width: number;
    height: number;
}

export interface View {
    width: number;
    height: number;
    scheme: "light" | "dark";
    medium?: "screen" | "print";
}

interface Message {
    id?: number;
    method?: string;
    params?: { request?: { url: string }; entry?: { text: string } };
    result?: Record<string, unknown>;
    error?: { message: string };
}

/** One page of a headless Chromium, driven by its DevTools protocol through a pipe. */
export class Browser {
    /** Addresses that the page asked for, and what its console said. */
    readonly requests: string[] = [];
    readonly complaints: string[] = [];
    readonly #process: ChildProcess;
    readonly #folder = mkdtempSync(join(tmpdir(), "llama-steer-chromium-"));
    readonly #pending = new Map<
        number,
        { resolve: (result: Record<string, unknown>) => void; reject: (e: Error) => void }
    >();
    readonly #waiting = new Map<string, () => void>();
    #session: string | undefined;
    #last = 0;
    #text = "";

    private constructor(program: string) {
        const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
        this.#process = spawn(
            program,
            [...flags, "--no-first-run", `--user-data-dir=${this.#folder}`, "--remote-debugging-pipe", "about:blank"],
            { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
        );
        this.#process.once("exit", () => this.#fail(new Error("the browser ended")));
        this.#process.once("error", (error) => this.#fail(error));
        const output = this.#process.stdio[4] as Readable;
        output.setEncoding("utf8");
        output.on("data", (chunk: string) => this.#read(chunk));
    }

    static async open(program: string): Promise<Browser> {
        const browser = new Browser(program);
        const { targetId } = await browser.#send("Target.createTarget", { url: "about:blank" });
        const { sessionId } = await browser.#send("Target.attachToTarget", { targetId, flatten: true });
        browser.#session = sessionId as string;
        await Promise.all(["Page", "Network", "Log", "Runtime"].map((domain) => browser.#send(`${domain}.enable`)));
        return browser;
    }

    /** Shows a page, at once from its beginning. */
    async show(url: string, { width, height, scheme, medium = "screen" }: View): Promise<void> {
        await this.#send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
        await this.#send("Emulation.setEmulatedMedia", {
            media: medium,
            features: [{ name: "prefers-color-scheme", value: scheme }],
        });
        const loaded = new Promise<void>((resolve) => this.#waiting.set("Page.loadEventFired", resolve));
        await this.#send("Page.navigate", { url });
        await loaded;
    }

    /** What an expression gives on the page, as JSON holds it. */
    async evaluate<Value>(expression: string): Promise<Value> {
        const { result, exceptionDetails } = await this.#send("Runtime.evaluate", { expression, returnByValue: true });
        if (exceptionDetails !== undefined) {
            throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
        }
        return (result as { value: Value }).value;
    }

    /** A picture of a part of the page, seen or not, as PNG. */
    async picture(clip: Region): Promise<Buffer> {
        const { data } = await this.#send("Page.captureScreenshot", {
            format: "png",
            captureBeyondViewport: true,
            clip: { ...clip, scale: 1 },
        });
        return Buffer.from(data as string, "base64");
    }

    async close(): Promise<void> {
        const ended = new Promise((resolve) => this.#process.once("exit", resolve));
        // Asked to, it ends its own processes first; killed, it leaves them writing to the folder for a while.
        this.#session = undefined;
        this.#send("Browser.close").catch(() => {});
        const timer = setTimeout(() => this.#process.kill("SIGKILL"), 20_000);
        await ended;
        clearTimeout(timer);
        await rm(this.#folder, { recursive: true, force: true, maxRetries: 10 });
    }

    #send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
        const id = ++this.#last;
        const session = this.#session === undefined ? {} : { sessionId: this.#session };
        (this.#process.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
        return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    }

    #read(chunk: string): void {
        const parts = (this.#text + chunk).split("\0");
        this.#text = parts.pop() ?? "";
        for (const part of parts) {
            this.#take(JSON.parse(part) as Message);
        }
    }

    #take({ id, method, params, result, error }: Message): void {
        if (id !== undefined) {
            const pending = this.#pending.get(id);
            this.#pending.delete(id);
            if (error === undefined) {
                pending?.resolve(result ?? {});
            } else {
                pending?.reject(new Error(error.message));
            }
        } else if (method === "Network.requestWillBeSent") {
            this.requests.push(params?.request?.url ?? "?");
        } else if (method === "Log.entryAdded") {
            this.complaints.push(params?.entry?.text ?? "?");
        }
        this.#waiting.get(method ?? "")?.();
    }

    #fail(error: Error): void {
        for (const { reject } of this.#pending.values()) {
            reject(error);
        }
        this.#pending.clear();
    }
}
