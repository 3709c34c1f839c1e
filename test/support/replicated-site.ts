import { type Site, serveSite } from "./cli-site.js";
import { freePort } from "./free-port.js";
import { Nginx } from "./nginx.js";
import { until } from "./until.js";

const key = "replicas-key";
const limitMilliseconds = 240_000;

/** Two `llama-steer serve` behind nginx with the documented site. */
export class ReplicatedSite {
    readonly nginx: Nginx;
    /** Those that run now. */
    readonly replicas: [Site, Site];
    /** Of the API, at nginx and at each replica. */
    readonly key = key;
    readonly #commands: readonly [string[], string[]];

    private constructor(nginx: Nginx, replicas: [Site, Site], commands: readonly [string[], string[]]) {
        this.nginx = nginx;
        this.replicas = replicas;
        this.#commands = commands;
    }

    /** `args` are of both replicas: all but the port and the keys. */
    static async start(args: readonly string[]): Promise<ReplicatedSite> {
        const command = async (): Promise<string[]> => {
            return ["serve", ...args, "--key-env", "API_KEYS", "--port", String(await freePort())];
        };
        const commands: [string[], string[]] = [await command(), await command()];
        const replicas = await Promise.all([startReplica(commands[0]), startReplica(commands[1])]);
        const [one, two] = replicas.map(({ url }) => new URL(url).host) as [string, string];
        return new ReplicatedSite(await Nginx.start([one, two], limitMilliseconds), replicas, commands);
    }

    /** Starts a replica that has ended, by the command line that it had. */
    async restart(index: 0 | 1): Promise<void> {
        this.replicas[index] = await startReplica(this.#commands[index]);
    }

    /** Which replica answered a request last, and whether others were asked before. */
    async answeredBy(id: string): Promise<{ replica: 0 | 1; asked: number }> {
        const { replicas } = await this.nginx.logged(id);
        const replica = this.replicas.findIndex(({ url }) => new URL(url).host === replicas.at(-1));
        if (replica === -1) {
            throw new Error(`request ${id} was answered by ${replicas}`);
        }
        return { replica: replica as 0 | 1, asked: replicas.length };
    }

    /** A figure of a replica, by its name in `/metrics` without `llama_steer_`. */
    async metric(index: 0 | 1, name: string): Promise<number> {
        const headers = { authorization: `Bearer ${key}` };
        const text = await (await fetch(`${this.replicas[index].url}/metrics`, { headers })).text();
        const [, value] = new RegExp(`^llama_steer_${name} (.+)$`, "m").exec(text) ?? [];
        return Number(value);
    }

    /** Waits until a replica computes at least so many answers. */
    async untilRunning(index: 0 | 1, answers: number): Promise<void> {
        await until(
            `${answers} answers under way`,
            async () => (await this.metric(index, "running_answers")) >= answers,
        );
    }

    async stop(): Promise<void> {
        await this.nginx.stop();
        for (const { child } of this.replicas) {
            child.kill("SIGKILL");
        }
        await Promise.all(this.replicas.map(({ ended }) => ended));
    }
}

function startReplica(command: readonly string[]): Promise<Site> {
    return serveSite(command, { env: { API_KEYS: key }, key, limitMilliseconds });
}
