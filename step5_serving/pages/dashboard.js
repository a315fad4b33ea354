// The dashboard: draws GET /telemetry/summary and /telemetry/calls, every ten seconds.
//
//     /dashboard                          the last 24 hours
//     /dashboard#call=4bf92f3577b34da6    one call: its time by part, its searches, its passages, its prompt

import { askForKey, getJson, onKey, say, Trouble } from "./api.js";
import { openCall } from "./call.js";
import { StageChart, TimeChart, per, table } from "./charts.js";
import { byId, compact, confidence, count, dayAndTime, el, exactly, ms, percent, usd, when } from "./dom.js";
import { PARTS, confidenceBar } from "./trace.js";

const EVERY = 10_000; // ms between two looks
const AT_ONCE = 20; // calls in the table

const state = { since: "24h", paused: false, timer: null, loading: null, next: null, extended: false, rows: new Map() };

// --- charts ---------------------------------------------------------------------------------------------

const time = (highest) => (highest >= 2000 ? ["seconds", 1000] : ["milliseconds", 1]);
const total = (rows, i = 0) => rows.reduce((sum, { values }) => sum + (values[i] ?? 0), 0);
const peak = (rows, i = 0) => Math.max(0, ...rows.map(({ values }) => values[i] ?? 0));

const charts = [
  {
    values: (each) => [each.errors, each.calls - each.errors],
    chart: new TimeChart({
      title: "Calls", kind: "bars", unit: per("calls"),
      series: [{ name: "errors", color: "--c-error", format: count }, { name: "no error", color: "--c-main", format: count }],
      summary: (rows) => `${count(total(rows, 1))} without an error, ${count(total(rows))} with one.`,
    }),
  },
  {
    values: (each) => [each.p50_ms, each.p95_ms],
    chart: new TimeChart({
      title: "Latency", kind: "lines", unit: time,
      series: [{ name: "p50", color: "--c-main", format: ms }, { name: "p95", color: "--c-second", format: ms }],
      summary: (rows) => `At most ${ms(peak(rows))} for half of the calls, ${ms(peak(rows, 1))} for 95 %.`,
    }),
  },
  { stages: true, chart: new StageChart({ title: "Latency by stage", format: ms }) },
  {
    values: (each) => [each.output_tokens, each.input_tokens],
    chart: new TimeChart({
      title: "Tokens", kind: "bars", unit: per("tokens"),
      series: [{ name: "out", color: "--c-second", format: count }, { name: "in", color: "--c-main", format: count }],
      summary: (rows) => `${count(total(rows, 1))} in, ${count(total(rows))} out.`,
    }),
  },
  {
    values: (each) => [each.cost_usd],
    chart: new TimeChart({
      title: "Cost", kind: "bars", unit: (highest, span) => {
        const [name] = per(highest < 0.02 ? "USD / 1,000" : "USD")(highest, span);
        return [name, highest < 0.02 ? 0.001 : 1];
      },
      series: [{ name: "known cost", color: "--c-main", format: usd }],
      summary: (rows) => `${usd(total(rows))} in all, as far as it is known.`,
    }),
  },
  {
    values: (each) => [each.calls ? each.errors / each.calls : null],
    chart: new TimeChart({
      title: "Error rate", kind: "bars", unit: () => ["% of calls", 0.01],
      series: [{ name: "error rate", color: "--c-error", format: percent }],
      summary: (rows) => `At most ${percent(peak(rows))} of the calls.`,
    }),
  },
];
byId("charts").append(...charts.map(({ chart }) => chart.element));

function draw(summary) {
  const series = summary.series.map((each) => ({ ...each, start: when(each.start) }));
  const span = { from: when(summary.since).getTime(), to: when(summary.until).getTime() };
  span.step = Math.min(span.to - span.from, ...series.slice(1).map((each, i) => each.start - series[i].start));
  const stages = [...PARTS, "total"].map((name) => ({ name, class: name === "total" ? "c-total" : `part-${name}`, ...summary.latency_ms[name] }));
  for (const { chart, values, stages: byStage } of charts) {
    if (byStage) chart.update(stages);
    else chart.update(span, series.map((each) => ({ start: each.start, values: values(each) })));
  }
}

// --- tiles and tables -----------------------------------------------------------------------------------

function tiles(summary) {
  const { total: all, first_token: first } = summary.latency_ms;
  const unknown = summary.unknown_costs;
  const noPrice = summary.cost_usd == null;
  const more = [[summary.running, "running"], [summary.lost, "lost"]];
  const rest = more.filter(([n]) => n).map(([n, what]) => ` · ${count(n)} ${what}`).join("");
  const tile = (name, value, note, wrong) => el("div", { class: wrong ? "tile wrong" : "tile" }, el("dt", {}, name), el("dd", {}, value, note && el("small", {}, note)));
  byId("tiles").replaceChildren(
    tile("Calls", count(summary.calls), `${count(summary.abstained)} abstained · ${count(summary.refused)} refused${rest}`),
    tile("Error rate", percent(summary.error_rate), `${count(summary.errors)} ${summary.errors === 1 ? "error" : "errors"}`, summary.error_rate >= 0.05),
    tile("Latency p50", ms(all.p50), first?.p50 == null ? "half are faster" : `first token ${ms(first.p50)}`),
    tile("Latency p95", ms(all.p95), first?.p95 == null ? "19 of 20 are faster" : `first token ${ms(first.p95)}`),
    tile("Tokens", compact((summary.tokens.input ?? 0) + (summary.tokens.output ?? 0)), `${compact(summary.tokens.input)} in · ${compact(summary.tokens.output)} out`),
    tile("Cost", usd(summary.cost_usd), unknown ? (noPrice ? "no price for this model" : `unknown for ${count(unknown)}`) : "all known"),
  );
}

const linkTo = (id, text) => el("a", { href: `#call=${id}` }, text);
const asked = (call) => call.question || el("em", {}, "not stored");

function low(rows) {
  byId("low").replaceChildren(
    rows.length ? el("ul", { class: "low" }, rows.map((each) => el("li", {}, linkTo(each.span_id, asked(each)), confidenceBar(each.confidence, true))))
      : el("p", { class: "none" }, "None: the search was sure each time."),
  );
}

function versions(rows) {
  const head = ["prompt", "calls", "p50", "p95", "confidence", "errors", "cost"];
  const cells = rows.map((each) => [
    el("code", {}, each.prompt_version ?? "none"), count(each.calls), ms(each.p50_ms), ms(each.p95_ms),
    confidence(each.mean_confidence), percent(each.error_rate), usd(each.cost_usd) + (each.cost_usd != null && each.unknown_costs ? ` + ${count(each.unknown_costs)} unknown` : ""),
  ]);
  byId("versions").replaceChildren(rows.length ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of prompt versions" }, table(head, cells)) : el("p", { class: "none" }, "None yet."));
}

function latest() {
  const rows = [...state.rows.values()];
  const head = ["time", "question", "result", "confidence", "tokens", "took", "cost"];
  const cells = rows.map((each) => [
    el("time", { datetime: each.started_at }, dayAndTime(when(each.started_at))), linkTo(each.span_id, asked(each)), result(each),
    confidence(each.confidence), tokensOf(each), ms(each.total_ms), usd(each.cost_usd),
  ]);
  const numbers = [false, false, false, true, true, true, true];
  const onclick = (i) => ({ onclick: (event) => { if (!event.target.closest("a")) location.hash = `call=${rows[i].span_id}`; } });
  const focused = byId("calls").contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  byId("calls").replaceChildren(rows.length ? table(head, cells, { numbers, attributes: onclick }) : el("p", { class: "none" }, "None."));
  byId("calls").querySelector("table")?.classList.add("calls");
  if (focused) byId("calls").querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  byId("older").hidden = !state.next;
}

function tokensOf({ input_tokens: input, output_tokens: output }) {
  return input == null && output == null ? "unknown" : `${count(input)} + ${count(output)}`;
}

function result({ status, error_type: error, abstained }) {
  if (status === 499) return el("span", { class: "tag unsure" }, "caller left");
  if (error || status >= 400) return el("span", { class: "tag bad" }, error ? `${status} ${error}` : String(status));
  return abstained ? el("span", { class: "tag unsure" }, "abstained") : el("span", { class: "tag good" }, "answered");
}

// --- looking ----------------------------------------------------------------------------------------------

async function look() {
  clearTimeout(state.timer);
  state.loading?.abort();
  const own = (state.loading = new AbortController());
  const options = { signal: own.signal };
  try {
    const [summary, page] = await Promise.all([getJson(`/telemetry/summary?since=${state.since}`, options), getJson(callsPath(), options)]);
    if (state.loading !== own) return;
    byId("figures").classList.remove("stale");
    merge(page);
    show(summary);
    say("");
    byId("updated").textContent = `As of ${exactly(new Date())}`;
  } catch (error) {
    if (state.loading !== own || error.name === "AbortError") return;
    if (!(error instanceof Trouble)) console.error(error);
    say(error instanceof Trouble ? error.message : "The figures could not be shown: reload this page.");
    byId("updated").textContent = "";
    if (error.status === 401 || error.status === 403) return askForKey(); // and look no more without one
  }
  plan();
}

function plan() {
  clearTimeout(state.timer);
  if (!state.paused && !document.hidden && !byId("call").open) state.timer = setTimeout(look, EVERY);
}

function callsPath(before) {
  const only = byId("filter").value;
  return `/telemetry/calls?limit=${AT_ONCE}${only ? `&${only}=true` : ""}${before ? `&before=${encodeURIComponent(before)}` : ""}`;
}

// The newest calls before those that are shown; older ones stay only after a click on "Older calls".
function merge({ calls, next }) {
  const old = state.extended ? [...state.rows.values()] : [];
  state.rows = new Map([...calls, ...old].map((call) => [call.span_id, call]));
  if (!state.extended) state.next = next;
}

async function older() {
  try {
    const page = await getJson(callsPath(state.next));
    state.extended = true;
    for (const call of page.calls) if (!state.rows.has(call.span_id)) state.rows.set(call.span_id, call);
    state.next = page.next;
    latest();
  } catch (error) {
    say(error.message);
  }
}

function show(summary) {
  const nothing = summary.calls === 0 && state.rows.size === 0;
  byId("empty").hidden = !nothing || byId("filter").value !== "";
  byId("figures").hidden = nothing;
  byId("latest").hidden = nothing && byId("filter").value === "";
  if (!nothing) {
    tiles(summary);
    draw(summary);
    low(summary.low_confidence);
    versions(summary.by_prompt_version);
  }
  latest();
}

// --- controls ---------------------------------------------------------------------------------------------

byId("curl").textContent = `curl ${location.origin}/query -H 'Content-Type: application/json' -H "x-api-key: $KEY" \\\n  -d '{"question": "When do contracts renew automatically?"}'`;
byId("range").addEventListener("change", (event) => {
  state.since = event.target.value;
  byId("figures").classList.add("stale"); // until what is chosen is there
  look();
});
byId("filter").addEventListener("change", () => {
  Object.assign(state, { extended: false, rows: new Map() });
  look();
});
byId("older").addEventListener("click", older);
byId("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  byId("pause").textContent = state.paused ? "Resume" : "Pause";
  byId("pause").setAttribute("aria-pressed", String(state.paused));
  if (state.paused) clearTimeout(state.timer);
  else look();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(state.timer);
  else if (!state.paused) look();
});
onKey(() => { say(""); look(); openNamed(); });

const named = () => /^#call=([0-9a-f]+)$/.exec(location.hash)?.[1];
const openNamed = () => { const id = named(); if (id) openCall(id); else byId("call").close(); };
window.addEventListener("hashchange", openNamed);
byId("close").addEventListener("click", () => byId("call").close());
byId("call").addEventListener("click", (event) => { if (event.target === byId("call")) byId("call").close(); }); // beside it
byId("call").addEventListener("close", () => {
  if (named()) history.pushState(null, "", location.pathname + location.search);
  plan();
});

look();
openNamed();
