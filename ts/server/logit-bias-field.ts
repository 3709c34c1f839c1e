import { checkedBy, type Fault } from "./checked-body.js";

/** The `logit_bias` field: token ids, and what each gets on top of its logit. */
export const logitBiasSchema = checkedBy<Record<string, number>>((value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        return { path: [], message: "must be an object of token ids and numbers" };
    }
    for (const [token, bias] of Object.entries(value)) {
        const fault = faultOf(token, bias);
        if (fault !== undefined) {
            return fault;
        }
    }
    return undefined;
});

function faultOf(token: string, bias: unknown): Fault | undefined {
    if (!/^\d{1,9}$/.test(token)) {
        return { path: [token], message: "a token's id is a number of up to nine digits" };
    }
    return typeof bias === "number" && bias >= -100 && bias <= 100
        ? undefined
        : { path: [token], message: "must be a number from -100 to 100" };
}
