import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.js";
import { inRepository } from "./paths.js";
import { TemporaryFolder } from "./temporary-folder.js";
import { until } from "./until.js";

export const sitePath = inRepository("docs/nginx/llama-steer.conf");

/** Debian's users have no /usr/sbin in their paths. */
const programs = ["nginx", "/usr/sbin/nginx"];

/** The nginx of this machine, if it has one. */
export function findNginx(): string | undefined {
    return programs.find((program) => spawnSync(program, ["-v"], { stdio: "ignore" }).status === 0);
}

/** A request as nginx logged it, once it was answered. */
export interface LoggedRequest {
    /** What the replica called it in `x-request-id`. */
    id: string;
    status: number;
    pin: string;
    /** The replicas that were asked, in order. */
    replicas: string[];
}

/** nginx with the documented site, in a folder of its own and without a right that its user does not have. */
export class Nginx {
    readonly url: string;
    readonly #process: ChildProcess;
    readonly #folder: string;

    private constructor(process: ChildProcess, folder: string, url: string) {
        this.#process = process;
        this.#folder = folder;
        this.url = url;
    }

    /** Starts it in front of two replicas, given as `host:port`. It is ended after the limit. */
    static async start(replicas: readonly [string, string], limitMilliseconds = 300_000): Promise<Nginx> {
        const program = findNginx();
        if (program === undefined) {
            throw new Error("there is no nginx here");
        }
        const folder = new TemporaryFolder();
        const listen = `127.0.0.1:${await freePort()}`;
        folder.write("site.conf", siteFor(listen, replicas));
        const main = folder.write("nginx.conf", mainFor(folder.path));
        const child = spawn(program, ["-p", folder.path, "-c", main], {
            stdio: ["ignore", "ignore", "pipe"],
            timeout: limitMilliseconds,
        });
        let told = "";
        child.stderr.on("data", (chunk) => {
            told += chunk;
        });
        const url = `http://${listen}`;
        await until("nginx answers", () => {
            if (child.exitCode !== null) {
                throw new Error(`nginx ended: ${told}`);
            }
            return fetch(url).then(
                () => true,
                () => false,
            );
        });
        return new Nginx(child, folder.path, url);
    }

    /** What was answered so far. A line may come a moment after its answer: see {@link logged}. */
    get requests(): LoggedRequest[] {
        const lines = readFileSync(join(this.#folder, "access.log"), "utf8").split("\n").slice(0, -1);
        return lines.map((line) => {
            const { upstreams, ...rest } = JSON.parse(line) as LoggedRequest & { upstreams: string };
            // A colon is between the replicas of one request and those of a redirection to an error page of nginx's own.
            return { ...rest, replicas: upstreams.split(/, | : /).filter((each) => each !== "") };
        });
    }

    /** The line of a request, when it is there. */
    logged(id: string): Promise<LoggedRequest> {
        return until(`a line of ${id}`, () => this.requests.find((each) => each.id === id));
    }

    /** What nginx said of its own. */
    get complaints(): string {
        return readFileSync(join(this.#folder, "error.log"), "utf8");
    }

    async stop(): Promise<void> {
        if (this.#process.exitCode === null && this.#process.signalCode === null) {
            const ended = once(this.#process, "close");
            this.#process.kill("SIGTERM");
            await ended;
        }
    }
}

/** The documented site at another address, with other replicas, and else as it is. */
function siteFor(listen: string, replicas: readonly [string, string]): string {
    let site = readFileSync(sitePath, "utf8");
    const changes = [
        ["listen 80;", `listen ${listen};`, 1],
        ["server 10.0.0.11:8080 ", `server ${replicas[0]} `, 2],
        ["server 10.0.0.12:8080 ", `server ${replicas[1]} `, 2],
    ] as const;
    for (const [from, to, times] of changes) {
        if (site.split(from).length !== times + 1) {
            throw new Error(`${sitePath} has no longer "${from}" ${times} times`);
        }
        site = site.replaceAll(from, to);
    }
    return site;
}

function mainFor(folder: string): string {
    // Workers are nobody where root starts them, and then they cannot read a folder of root's.
    const user = userInfo().uid === 0 ? `user ${userInfo().username};` : "";
    const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const temporary = kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n    ");
    return `${user}
daemon off;
worker_processes 2;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log notice;
events { worker_connections 512; }
http {
    ${temporary}
    log_format requests escape=json '{"id":"$upstream_http_x_request_id","status":$status,'
        '"pin":"$llama_steer_pin","upstreams":"$upstream_addr"}';
    access_log ${folder}/access.log requests;
    include ${folder}/site.conf;
}
`;
}
