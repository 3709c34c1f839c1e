import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/**
 * Something at a port of 127.0.0.1 that neither takes nor refuses connections, as a machine that is not there: a process that
 * has stopped, and its queue is full. undefined where the system does not do that.
 */
export async function vanished(port: number): Promise<{ end(): void } | undefined> {
    if (process.platform !== "linux") {
        return undefined;
    }
    const listen = `{ host: "127.0.0.1", port: ${port}, backlog: 1 }`;
    const source = `require("node:net").createServer().listen(${listen}, () => console.log("listening"))`;
    const child = spawn(process.execPath, ["--eval", source], { timeout: 120_000, killSignal: "SIGKILL" });
    await once(child.stdout, "data");
    child.kill("SIGSTOP");
    const sockets: Socket[] = [];
    const connects = (): Promise<boolean> => {
        const socket = connect(port, "127.0.0.1");
        socket.on("error", () => {});
        sockets.push(socket);
        const tried = once(socket, "connect", { signal: AbortSignal.timeout(1000) });
        return tried.then(
            () => true,
            () => false,
        );
    };
    let full = false;
    for (let i = 0; i < 8 && !full; i++) {
        full = !(await connects());
    }
    const end = (): void => {
        for (const socket of sockets) {
            socket.destroy();
        }
        child.kill("SIGKILL");
    };
    if (!full) {
        end();
    }
    return full ? { end } : undefined;
}
