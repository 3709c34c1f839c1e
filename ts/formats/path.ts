import { checkString } from "../check.js";
import { SteerError } from "../steer-error.js";

/** @throws SteerError INVALID_ARGUMENT where no file can have this path */
export function checkPath(path: unknown): asserts path is string {
    checkString(path, "path");
    if (path === "" || path.includes("\0")) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            "path must be the name of a file: not empty, and without null characters",
        );
    }
}
