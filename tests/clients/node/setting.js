// What an app is told: where the gateway is, a key, and which models there are.
// tests/clients/house.py has what stands behind each of them.

export const URL = process.env.GATEWAY_URL;
export const KEY = process.env.GATEWAY_KEY;

// The real model.
export const LOCAL = "smollm2";
// A simulated vendor of the OpenAI dialect, which calls tools and answers by schemas.
export const VENDOR = "gpt-4o";
// One of the OpenAI dialect that has no Responses API.
export const CHATS = "llama-3.3-70b";
// A model of the simulated vendor for embeddings.
export const EMBEDS = "text-embedding-3-small";
// One of the Anthropic dialect.
export const CLAUDE = "claude-sonnet-5";
// The first choice is banned, is down, breaks off in mid-stream; the real model is the second.
export const UNNOTICED = ["banned-first", "down-first", "breaks-first"];
export const ONLY_BANNED = "only-banned";
export const UNKNOWN = "no-such-model";

export const QUESTION = "In which country is the city of Paris?";

// The cases of a check: in the short form only the first.
export const cases = (all) => (process.env.SHORT ? all.slice(0, 1) : all);
