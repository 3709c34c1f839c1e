import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api-error.js";

/** The keys that open a server. Compared by their hashes, all of them, in a time that does not tell how much was right. */
export class ApiKeys {
    readonly #hashes: readonly Buffer[];

    /** None: everybody may enter. */
    constructor(keys: readonly string[]) {
        this.#hashes = keys.map(hash);
    }

    /**
     * Which key a request has; undefined where none is needed.
     *
     * @throws ApiError 401
     */
    check(request: Request): number | undefined {
        if (this.#hashes.length === 0) {
            return undefined;
        }
        const given = /^Bearer +(\S+) *$/i.exec(request.headers.get("authorization") ?? "")?.[1];
        const offered = hash(given ?? "");
        let found = -1;
        this.#hashes.forEach((each, i) => {
            found = timingSafeEqual(each, offered) ? i : found;
        });
        if (given === undefined || found < 0) {
            throw new ApiError(401, "invalid_api_key", "give a valid API key: Authorization: Bearer KEY");
        }
        return found;
    }
}

function hash(key: string): Buffer {
    return createHash("sha256").update(key).digest();
}
