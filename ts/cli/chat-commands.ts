import { SteerError, type SteeringVector } from "../index.js";
import type { ChatSession } from "./chat-session.js";
import { number } from "./option-values.js";

/** What commands of a conversation act on. */
export interface ChatHost {
    session: ChatSession;
    loadVector: (path: string) => Promise<SteeringVector>;
    note: (text: string) => void;
}

type ChatCommand = readonly [usage: string, summary: string, run: (host: ChatHost, rest: string) => Promise<void>];

const commands: Readonly<Record<string, ChatCommand>> = {
    "/strength": ["/strength N", "steer N times as strongly as the file says; below 0 the other way", setStrength],
    "/vector": ["/vector PATH", "steer with another vector", setVector],
    "/off": ["/off", "stop steering", switchOff],
    "/on": ["/on", "steer again", switchOn],
    "/reset": ["/reset", "forget the conversation", reset],
    "/help": ["/help", "print this", help],
    "/quit": ["/quit", "end; so does Ctrl-D", async () => {}],
};

/** Whether a line is a command and not something to say. */
export const isCommand = (line: string): boolean => line.startsWith("/");

/** Runs a line that is a command. @returns whether the conversation goes on */
export async function runCommand(host: ChatHost, line: string): Promise<boolean> {
    const [name = "", rest = ""] = splitAtSpace(line);
    const found = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (found === undefined) {
        throw new SteerError("INVALID_ARGUMENT", `there is no command ${name}: /help lists them`);
    }
    await found[2](host, rest);
    return name !== "/quit";
}

function splitAtSpace(line: string): string[] {
    const at = line.search(/\s/);
    return at < 0 ? [line] : [line.slice(0, at), line.slice(at).trim()];
}

async function setStrength({ session, note }: ChatHost, rest: string): Promise<void> {
    let strength: number;
    try {
        strength = number()(rest);
    } catch {
        throw new SteerError("INVALID_ARGUMENT", `/strength takes a number, not ${JSON.stringify(rest)}`);
    }
    requireVector(session);
    session.steer({ strength });
    note(state(session));
}

async function setVector({ session, loadVector, note }: ChatHost, rest: string): Promise<void> {
    if (rest === "") {
        throw new SteerError("INVALID_ARGUMENT", "/vector takes the path of a vector file");
    }
    session.steer({ vector: await loadVector(rest) });
    note(`${rest}, ${state(session)}`);
}

async function switchOff({ session, note }: ChatHost): Promise<void> {
    session.steer({ on: false });
    note(state(session));
}

async function switchOn({ session, note }: ChatHost): Promise<void> {
    requireVector(session);
    session.steer({});
    note(state(session));
}

async function reset({ session, note }: ChatHost): Promise<void> {
    session.reset();
    note("the conversation is forgotten");
}

async function help({ note }: ChatHost): Promise<void> {
    for (const [usage, summary] of Object.values(commands)) {
        note(`${usage.padEnd(14)}${summary}`);
    }
}

function requireVector(session: ChatSession): void {
    if (!session.hasVector) {
        throw new SteerError("INVALID_ARGUMENT", "there is no vector to steer with: give one with /vector PATH");
    }
}

/** In words, whether and how a session is steered. */
export const state = (session: ChatSession): string =>
    session.steered ? `steered, strength ${session.strength}` : "not steered";
