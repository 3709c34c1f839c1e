import { once } from "node:events";
import { createServer } from "node:net";

/** Below the ports that systems give away by themselves, so that nobody takes one while its owner is being restarted. */
const [lowest, highest] = [15_000, 32_000];

/** A port of 127.0.0.1 at which nobody listens now. */
export async function freePort(): Promise<number> {
    for (;;) {
        const port = lowest + Math.floor(Math.random() * (highest - lowest));
        const server = createServer().listen(port, "127.0.0.1");
        const free = await Promise.race([
            once(server, "listening").then(() => true),
            once(server, "error").then(() => false),
        ]).catch(() => false);
        if (free) {
            server.close();
            await once(server, "close");
            return port;
        }
    }
}
