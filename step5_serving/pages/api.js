// Requests to the service, with the key of this tab, and each thing that can go wrong as one friendly line.
//
//     const summary = await getJson("/telemetry/summary?since=24h");
//     try { ... } catch (trouble) { trouble.message }     "Too many calls at once. Try again in 12 seconds."

import { byId } from "./dom.js";

const NAME = "api-key";
const memory = new Map(); // where the browser lets pages store nothing

export const key = {
  get() {
    try { return sessionStorage.getItem(NAME) ?? ""; } catch { return memory.get(NAME) ?? ""; }
  },
  set(value) {
    try { sessionStorage.setItem(NAME, value); } catch { memory.set(NAME, value); }
  },
};

// What went wrong: `message` is for people; `status` is 0 where no answer came; `retryAfter` is in seconds.
export class Trouble extends Error {
  constructor(message, { status = 0, retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const GONE = "The service can’t be reached: is it running, and is your connection up?";

// A response that is fine. Throws Trouble; an abort passes through as it is.
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
    throw new Trouble("The service’s reply could not be read.", { status: response.status });
  }
}

async function troubleOf(response, hadKey) {
  const { status } = response;
  const body = await response.json().catch(() => null);
  const retryAfter = secondsOf(response.headers.get("Retry-After"));
  if (status === 401) {
    return new Trouble(hadKey ? "This API key was not accepted." : "This service needs an API key.", { status });
  }
  const line = sentence(body?.error?.message ?? `The service failed (${status}).`);
  const later = retryAfter == null ? "" : ` Try again in ${lasting(retryAfter)}.`;
  return new Trouble(line + later, { status, retryAfter });
}

// The service's errors begin in lower case and end without a full stop, like a command's. The name of a
// field (prompt_version) stays as it is.
export function sentence(text) {
  const line = text.replace(/\s+/g, " ").trim();
  const begun = /^[a-z]+[ ,]/.test(line) ? line.charAt(0).toUpperCase() + line.slice(1) : line;
  return begun + (/[.!?]$/.test(line) ? "" : ".");
}

// A budget is back at midnight, a rate in a moment.
function lasting(seconds) {
  const [number, unit] =
    seconds < 100 ? [seconds, "second"] : seconds < 6000 ? [Math.ceil(seconds / 60), "minute"] : [Math.ceil(seconds / 3600), "hour"];
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}

function secondsOf(header) {
  if (!header) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(1, Math.ceil(seconds)) : null;
}

// --- the two places that both pages have: the line of an error, and the field for a key -------------------

export function say(message) {
  const line = byId("error");
  line.textContent = message;
  line.hidden = !message;
}

export function askForKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}

// `again` does what the missing key had prevented.
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
