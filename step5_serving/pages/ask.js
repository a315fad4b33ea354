// The page to ask questions: POST /query/stream answers piece by piece.
//
//     retrieved   the passages, the confidence, the searches
//     delta       the next piece of text
//     done        tokens, time, cost, the trace id
//     error       what went wrong
//
// Enter asks, Esc or Stop ends it: the request is aborted, and the service stops its model.

import { Trouble, askForKey, getJson, onKey, request, say, sentence } from "./api.js";
import { CitedText } from "./cited.js";
import { UNKNOWN, byId, count, el, ms, usd } from "./dom.js";
import { Passages } from "./passages.js";
import { feedbackForm } from "./feedback.js";
import { events } from "./sse.js";
import { attemptList, confidenceBar, modelOf, timeBar, tokensLine } from "./trace.js";

const LONGEST = 2000; // characters of a question
// Questions of step 3's sample, each with a document that must be there for it to make sense.
const EXAMPLES = [
  ["When do contracts renew automatically?", "contracts/renewal-overview.md"],
  ["A vendor wants to hand me a present. How expensive may it be?", "handbook/code-of-conduct.md"],
  ["What does the warning G-21 on the Sylph G5 mean?", "support/sylph-zero-drift.md"],
  ["Which firmware version of the Hearth 200 corrects HG-1187?", "products/hearth-200-firmware-3.3.md"],
  ["How do I pair a Quaver V8 with my phone over Bluetooth?", "products/quaver-v8-datasheet.md"], // not there
];

const question = byId("question");
const status = document.querySelector("#status [role=status]");
const clock = document.querySelector("#status .clock");
let running = null; // the current call

// --- one call -------------------------------------------------------------------------------------------

async function ask() {
  const text = question.value.trim();
  if (!text) return question.focus();
  if (text.length > LONGEST) return say(`The question has ${count(text.length)} characters: ${count(LONGEST)} are allowed.`);
  if (!byId("k").reportValidity() || !byId("prompt-version").reportValidity()) return;
  running?.abort();
  const call = new AbortController();
  running = call;
  say("");
  show(text);
  const ticking = tick();
  try {
    const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
    const response = await request("/query/stream", { method: "POST", headers, body: JSON.stringify(query(text)), signal: call.signal });
    await follow(response, call);
  } catch (error) {
    if (running === call) failed(error, call);
  } finally {
    clearInterval(ticking);
    if (running === call) finished();
  }
}

function query(text) {
  const chosen = byId("collection").hidden ? byId("collection-name").value.trim() : byId("collection").value;
  const version = byId("prompt-version").value;
  const reader = byId("reader").value;
  return {
    question: text,
    k: Number(byId("k").value),
    ...(chosen && { collection: chosen }),
    ...(version && { prompt_version: Number(version) }),
    ...(reader !== "auto" && { reader }),
  };
}

// Read the events of a call to their end.
async function follow(response, call) {
  const page = { text: new CitedText(byId("answer")), passages: null };
  try {
    for await (const { event, data } of events(response.body)) {
      if (running !== call) return;
      const facts = JSON.parse(data);
      if (event === "retrieved") retrieved(facts, page);
      if (event === "delta") page.text.write(facts.text);
      if (event === "error") throw new Trouble(sentence(facts.message));
      if (event === "done") return done(facts, page);
    }
  } catch (error) {
    if (running === call) page.text.end(); // else the next answer is shown there
    if (error instanceof Trouble || error.name === "AbortError") throw error;
  }
  throw new Trouble("The connection broke off: the answer is not complete.");
}

function retrieved({ sources = [], confidence, attempts = [] }, page) {
  const section = document.querySelector(".passages");
  section.hidden = sources.length === 0;
  page.passages = new Passages(byId("passages"), sources);
  page.passages.fold();
  page.text = new CitedText(byId("answer"), sources, page.passages);
  byId("passages-title").textContent = `${passages(sources.length)} found`;
  status.textContent = sources.length ? `${passages(sources.length)} found. Writing …` : "Writing …";
  facts({ confidence, attempts });
}

function done(call, page) {
  page.text.end();
  page.passages.mark(page.text.cited);
  const used = page.text.cited.size;
  const all = call.sources?.length ?? 0;
  byId("passages-title").textContent = used ? `${used} of ${passages(all)} cited` : `${passages(all)} found, none cited`;
  if (call.abstained) abstained(all);
  else if (!used) note("It cites no passage. ", "So nothing says where this comes from: read the passages before you rely on it.");
  status.textContent = `${call.abstained ? "No answer" : "Answered"} after ${ms(call.latency_ms?.total)}.`;
  facts(call);
}

const passages = (n) => `${n} ${n === 1 ? "passage" : "passages"}`;

function abstained(found) {
  note("It does not know, and says so rather than guess. ",
    found ? "The passages that it found do not answer this well enough. Ask in other words, or look at what it found."
      : "It found no passage that fits. Ask in other words, or in another collection.");
}

// A warning above the answer.
function note(first, rest) {
  const line = byId("note");
  line.hidden = false;
  line.replaceChildren(el("b", {}, first), rest);
}

// How the answer was made; called with what is known so far.
function facts(call) {
  const section = byId("facts");
  section.hidden = false;
  const rows = [];
  const row = (name, ...value) => rows.push(el("dt", {}, name), el("dd", {}, ...value));
  row("Confidence", confidenceBar(call.confidence, call.abstained));
  if (call.trace_id) {
    row("Tokens", tokensLine(call.usage?.input_tokens, call.usage?.output_tokens, call.latency_ms?.generate));
    row("Cost", call.cost_usd == null ? `${UNKNOWN} (this model has no price)` : usd(call.cost_usd));
    row("Model", modelOf(call));
    if (call.prompt_version) row("Prompt", el("code", {}, call.prompt_version));
    row("Trace", el("a", { href: `/dashboard#call=${call.span_id}`, class: "id" }, call.trace_id));
  }
  section.replaceChildren(
    byId("facts-title") ?? el("h2", { id: "facts-title" }, "How it came about"),
    ...(call.trace_id ? [el("h3", {}, `Time: ${ms(call.latency_ms?.total)}`), timeBar(call.latency_ms ?? {}) ?? ""] : []),
    el("dl", {}, rows),
    ...(call.attempts?.length ? [el("h3", {}, call.attempts.length === 1 ? "One search" : `${call.attempts.length} searches`),
      attemptList(call.attempts, call.abstained)] : []),
    ...(call.trace_id ? [feedbackForm(call)] : []),
  );
}

// --- what the page shows before, during and after a call ----------------------------------------------------

function show(text) {
  byId("examples").open = false;
  byId("result").hidden = false;
  byId("main").classList.add("at-work"); // the form moves up to make room
  byId("asked").textContent = text;
  byId("answer").replaceChildren();
  byId("answer").setAttribute("aria-busy", "true"); // read out once it is whole, not word by word
  byId("result").classList.add("busy");
  byId("note").hidden = true;
  byId("facts").hidden = true;
  document.querySelector(".passages").hidden = true;
  status.textContent = "Searching …";
  swap(byId("send"), byId("stop"));
}

function failed(error, call) {
  if (call.signal.aborted || error.name === "AbortError") {
    status.textContent = "Stopped.";
    return;
  }
  status.textContent = byId("answer").textContent ? "Not complete." : "";
  if (!byId("answer").textContent) {
    byId("result").hidden = true;
    byId("main").classList.remove("at-work");
  }
  say(error instanceof Trouble ? error.message : "Something went wrong on this page: reload it.");
  if (!(error instanceof Trouble)) console.error(error);
  if (error.status === 401) askForKey();
}

function finished() {
  running = null;
  clock.textContent = "";
  byId("answer").setAttribute("aria-busy", "false");
  byId("result").classList.remove("busy");
  swap(byId("stop"), byId("send"));
  // Typing replaces the question, unless the next one is being typed already.
  if (document.activeElement === question && question.value.trim() === byId("asked").textContent) question.select();
}

// Replace one button by another, and move the focus with it.
function swap(from, to) {
  const hadFocus = document.activeElement === from;
  from.hidden = true;
  to.hidden = false;
  if (hadFocus) (to.id === "send" ? question : to).focus();
}

function tick() {
  const began = performance.now();
  clock.textContent = "";
  return setInterval(() => { clock.textContent = `${((performance.now() - began) / 1000).toFixed(1)} s`; }, 100);
}

const stop = () => running?.abort();

// --- the form -------------------------------------------------------------------------------------------

function grow() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight + 2}px`;
  const left = LONGEST - question.value.trim().length;
  byId("length").textContent = left >= 300 ? "" : left >= 0 ? `${count(left)} characters left` : `${count(-left)} over the limit of ${count(LONGEST)} characters`;
}

function options() {
  const { k, collection, reader, prompt_version: version } = query("");
  const chosen = [collection, k !== 5 && passages(k), version && `prompt ${version}`, reader].filter(Boolean);
  byId("chosen").textContent = chosen.length ? `: ${chosen.join(", ")}` : "";
}

// The collections to choose from, and the examples that this index can answer. Without them (no such
// route, no key yet) the collection is a field to write in.
async function documents() {
  let collections;
  try {
    collections = (await getJson("/collections")).collections;
  } catch {
    return;
  }
  const names = new Set(Object.values(collections).flat());
  const named = Object.entries(collections).sort(([a], [b]) => a.localeCompare(b));
  if (named.length) {
    byId("collection").replaceChildren(
      el("option", { value: "" }, `all (${count(names.size)} documents)`),
      ...named.map(([name, documents]) => el("option", { value: name }, `${name} (${count(documents.length)})`)),
    );
    byId("collection").hidden = false;
    byId("collection-name").hidden = true;
    document.querySelector("label[for^=collection]").htmlFor = "collection";
  }
  const fitting = EXAMPLES.filter(([, document]) => names.has(document));
  byId("examples").hidden = fitting.length === 0;
  byId("examples").querySelector("ul").replaceChildren(
    ...fitting.map(([text]) =>
      el("li", {}, el("button", { type: "button", class: "example", onclick: () => { question.value = text; grow(); question.focus(); ask(); } }, text)),
    ),
  );
}

byId("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
byId("stop").addEventListener("click", stop);
byId("options").addEventListener("input", options);
question.addEventListener("input", grow);
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // an input method's Enter is its own
  event.preventDefault();
  ask();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
onKey(() => { say(""); documents(); question.focus(); ask(); });

const asked = new URLSearchParams(location.search).get("q"); // a link fills the field, and asks nothing
if (asked) question.value = asked;
document.querySelector("label[for=collection]").htmlFor = "collection-name";
grow();
documents();
