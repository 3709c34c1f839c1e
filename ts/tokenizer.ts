import { concatUint8Arrays } from "typed-array-utils";
import { checkBoolean, checkObject, checkString, checkToken, describe } from "./check.js";
import type { NativeModel } from "./native.js";
import { SteerError } from "./steer-error.js";

export interface EncodeOptions {
    /** Add the begin (and end) token where the model's vocabulary asks for it. Default false. */
    addSpecial?: boolean;
    /**
     * Read control tokens such as `<|im_start|>` in the text as tokens. Default false: text from users stays text.
     */
    parseSpecial?: boolean;
}

export interface DecodeOptions {
    /** Write control tokens too. Default false. */
    special?: boolean;
}

/** Text to token ids and back, with the vocabulary of one model. Synchronous; works on strings of any length. */
export class Tokenizer {
    readonly #native: NativeModel;
    readonly #bytes = new Map<number, Uint8Array>();

    /** Tokens in the vocabulary. */
    readonly vocabularySize: number;
    /** Id of the begin token, -1 where there is none. */
    readonly beginToken: number;
    /** Id of the end token, -1 where there is none. */
    readonly endToken: number;
    /** Whether texts of this model begin with the begin token. */
    readonly addsBeginToken: boolean;

    /** @internal Made by {@link Model}. */
    constructor(native: NativeModel) {
        this.#native = native;
        const info = native.info();
        this.vocabularySize = info.vocabularySize;
        this.beginToken = info.beginToken;
        this.endToken = info.endToken;
        this.addsBeginToken = info.addsBeginToken;
    }

    /**
     * Token ids of a text.
     *
     * @throws SteerError INVALID_ARGUMENT, DISPOSED
     */
    encode(text: string, options: EncodeOptions = {}): Int32Array {
        checkString(text, "text");
        checkObject(options, "options");
        const { addSpecial = false, parseSpecial = false } = options;
        checkBoolean(addSpecial, "addSpecial");
        checkBoolean(parseSpecial, "parseSpecial");
        return this.#native.tokenize(text, addSpecial, parseSpecial);
    }

    /**
     * Text of token ids. Bytes that are no whole UTF-8 character become U+FFFD.
     *
     * @throws SteerError INVALID_ARGUMENT for an id outside the vocabulary, DISPOSED
     */
    decode(tokens: ArrayLike<number>, options: DecodeOptions = {}): string {
        if (typeof tokens !== "object" || tokens === null || typeof tokens.length !== "number") {
            throw new SteerError("INVALID_ARGUMENT", `tokens must be an array of token ids, not ${describe(tokens)}`);
        }
        const pieces: Uint8Array[] = [];
        for (let i = 0; i < tokens.length; i++) {
            pieces.push(this.bytes(tokens[i] as number, options));
        }
        return new TextDecoder("utf-8", { ignoreBOM: true }).decode(concatUint8Arrays(...pieces));
    }

    /**
     * The bytes of one token, not necessarily whole characters; control tokens have none unless `special`. Do not
     * change the array returned: it is kept.
     *
     * @throws SteerError INVALID_ARGUMENT, DISPOSED
     */
    bytes(token: number, options: DecodeOptions = {}): Uint8Array {
        checkToken(token, "token");
        checkObject(options, "options");
        const { special = false } = options;
        checkBoolean(special, "special");
        const key = special ? -1 - token : token;
        let bytes = this.#bytes.get(key);
        if (bytes === undefined) {
            bytes = this.#native.tokenBytes(token, special);
            this.#bytes.set(key, bytes);
        }
        return bytes;
    }

    /** Whether the model ends its answer with this token. */
    isEndOfGeneration(token: number): boolean {
        return this.#native.isEndOfGeneration(token);
    }
}
