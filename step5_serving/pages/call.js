// One call of the dashboard, with all that is stored of it: GET /telemetry/calls/{id}, by span or trace id.

import { getJson, Trouble } from "./api.js";
import { CitedText } from "./cited.js";
import { UNKNOWN, byId, dayAndTime, el, usd, when } from "./dom.js";
import { Passages } from "./passages.js";
import { attemptList, confidenceBar, modelOf, tokensLine, waterfall } from "./trace.js";

let wanted = null;

export async function openCall(id) {
  wanted = id;
  const dialog = byId("call");
  const body = byId("call-body");
  body.replaceChildren(el("p", { class: "hint" }, "Loading …"));
  if (!dialog.open) dialog.showModal();
  try {
    const call = await getJson(`/telemetry/calls/${id}`);
    if (wanted === id) fill(body, call);
  } catch (error) {
    if (wanted !== id) return;
    if (!(error instanceof Trouble)) console.error(error);
    body.replaceChildren(el("p", { class: "error" }, error.status === 404 ? "This call is not stored (any more)." : error.message));
  }
}

function fill(body, call) {
  const latency = { total: call.total_ms, queue: call.queue_ms, retrieve: call.retrieve_ms, rerank: call.rerank_ms, generate: call.generate_ms };
  const failed = call.error_type || call.status >= 400;
  const answer = el("div", { class: "text" });
  const list = el("ol", { class: "passages-list" });
  const sources = call.sources ?? [];
  const passages = new Passages(list, sources, "source");
  const text = new CitedText(answer, sources, passages);
  text.write(call.answer ?? "");
  text.end();
  const section = (title, ...children) => [el("h3", {}, title), ...children];

  body.replaceChildren(
    el("p", { class: "asked" }, call.question ?? el("em", {}, "The question was not stored.")),
    call.state === "running" ? el("p", { class: "hint" }, "It is under way.")
      : failed ? el("p", { class: "error" }, `Failed with ${call.status}${call.error_type ? `: ${call.error_type}` : ""}`)
      : call.answer == null ? el("p", { class: "hint" }, "The answer was not stored.") : answer,
    ...(call.question ? [el("p", {}, el("a", { href: `/?q=${encodeURIComponent(call.question)}` }, "Ask it again"))] : []),
    ...section("Time by part", waterfall(latency, call.attempts ?? [], call.first_token_ms) ?? el("p", { class: "hint" }, "Not measured.")),
    ...section("Facts", facts(call)),
    ...(call.attempts?.length ? section("Searches", attemptList(call.attempts, call.abstained)) : []),
    ...(sources.length ? section("Passages", list) : []),
    ...(call.prompt?.text ? [unfold("Prompt", el("pre", {}, call.prompt.text))] : []),
    ...(Object.keys(call.parameters ?? {}).length ? [unfold("Parameters", el("pre", {}, JSON.stringify(call.parameters, null, 2)))] : []),
  );
  passages.mark(text.cited);
  body.scrollTop = 0;
}

const unfold = (title, ...children) => el("details", {}, el("summary", {}, title), ...children);

function facts(call) {
  const rows = [
    ["When", dayAndTime(when(call.started_at))],
    ["Confidence", confidenceBar(call.confidence, call.abstained), call.abstained && el("span", { class: "tag unsure" }, "abstained")],
    ["Tokens", tokensLine(call.input_tokens, call.output_tokens, call.generate_ms)],
    ["Cost", call.cost_usd == null ? UNKNOWN : usd(call.cost_usd)],
    ["Model", modelOf(call), call.engine && el("span", { class: "hint" }, ` on ${call.engine}`)],
    ["Prompt", call.prompt_version ? el("code", {}, call.prompt_version) : "none"],
    ["Route", call.route ?? UNKNOWN],
    ["Key", call.key_id ?? "none"],
    ["Ended", call.finish_reason ?? UNKNOWN],
    ["Feedback", { up: "👍 ", down: "👎 " }[call.thumb], call.comment ?? (call.thumb ? null : "none")],
    ["Trace", el("span", { class: "id" }, call.trace_id)],
    ["Replay", el("code", {}, `python -m step5_serving replay ${call.span_id}`)],
  ];
  return el("dl", {}, rows.flatMap(([name, ...value]) => [el("dt", {}, name), el("dd", {}, ...value)]));
}
