// Requests to the service with the key of this tab; each error is one friendly line.
//
//     const summary = await getJson("/telemetry/summary?since=24h");
//     try { ... } catch (trouble) { trouble.message }     "Too many calls at once. Try again in 12 seconds."

import { byId } from "./dom.js";

const NAME = "api-key";
const memory = new Map(); // for browsers that let pages store nothing

export const key = {
  get() {
    try { return sessionStorage.getItem(NAME) ?? ""; } catch { return memory.get(NAME) ?? ""; }
  },
  set(value) {
    try { sessionStorage.setItem(NAME, value); } catch { memory.set(NAME, value); }
  },
};

// What went wrong: `message` is for people; `status` is 0 if there was no reply.
export class Trouble extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

const GONE = "The service can’t be reached: is it running, and is your connection up?";

// A successful response. Throws Trouble; an abort passes through.
export async function request(path, { headers = {}, ...options } = {}) {
  const secret = key.get();
  const own = secret ? { ...headers, Authorization: `Bearer ${secret}` } : headers;
  let response;
  try {
    response = await fetch(path, { ...options, headers: own });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(GONE);
  }
  if (!response.ok) throw await troubleOf(response, Boolean(secret));
  return response;
}

export async function getJson(path, options) {
  const response = await request(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The service’s reply could not be read.", response.status);
  }
}

async function troubleOf(response, hadKey) {
  const { status } = response;
  const body = await response.json().catch(() => null);
  if (status === 401) {
    return new Trouble(hadKey ? "This API key was not accepted." : "This service needs an API key.", status);
  }
  const line = sentence(body?.error?.message ?? `The service failed (${status}).`);
  const seconds = Number(response.headers.get("Retry-After"));
  return new Trouble(seconds > 0 ? `${line} Try again in ${lasting(seconds)}.` : line, status);
}

// The service's errors begin in lower case and end without a full stop, like a command's. A field's name
// (prompt_version) is not capitalised.
export function sentence(text) {
  const line = text.replace(/\s+/g, " ").trim();
  const begun = /^[a-z]+[ ,]/.test(line) ? line.charAt(0).toUpperCase() + line.slice(1) : line;
  return begun + (/[.!?]$/.test(line) ? "" : ".");
}

// A rate limit ends in seconds, a day's budget in hours.
function lasting(seconds) {
  const [number, unit] =
    seconds < 100 ? [seconds, "second"] : seconds < 6000 ? [Math.ceil(seconds / 60), "minute"] : [Math.ceil(seconds / 3600), "hour"];
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}

// --- what both pages have: the line of an error, and the form for a key -----------------------------------

export function say(message) {
  const line = byId("error");
  line.textContent = message;
  line.hidden = !message;
}

export function askForKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}

// `again` repeats what needed the key.
export function onKey(again) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("key");
    key.set(field.value.trim());
    field.value = "";
    byId("key-form").hidden = true;
    again();
  });
}
