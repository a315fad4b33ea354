// What a call did, as both pages show it: attempts, confidence, and the time of its parts.
//
//     timeBar({ total: 2000, queue: 10, retrieve: 240, rerank: 60, generate: 1650 })

import { UNKNOWN, confidence, count, el, ms, svg } from "./dom.js";

export const PARTS = ["queue", "retrieve", "rerank", "generate"];
const LEAST = 0.05; // ms: shorter parts are left out
const TOLD = 0.01; // of the total: a smaller rest is left out

// [part, milliseconds] of each known part, and of the rest: "other".
function partsOf(latency) {
  const parts = PARTS.filter((name) => latency[name] >= LEAST).map((name) => [name, latency[name]]);
  const rest = (latency.total ?? 0) - parts.reduce((sum, [, time]) => sum + time, 0);
  return rest > TOLD * latency.total ? [...parts, ["other", rest]] : parts;
}

export function timeBar(latency) {
  const parts = partsOf(latency);
  if (!parts.length) return null;
  const all = parts.reduce((sum, [, time]) => sum + time, 0);
  let x = 0;
  const bars = parts.map(([name, time]) => {
    const width = (100 * time) / all;
    x += width;
    return svg("rect", { class: `part-${name}`, x: x - width, y: 0, width, height: 10 });
  });
  const words = parts.map(([name, time]) => `${name} ${ms(time)}`).join(", ");
  return el("div", { class: "time-bar" },
    svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `Time by part: ${words}` }, bars),
    el("ul", { class: "legend" },
      parts.map(([name, time]) => el("li", {}, swatch(`part-${name}`), name, " ", el("b", {}, ms(time)))),
    ),
  );
}

const swatch = (name) =>
  svg("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: name, width: 10, height: 10, rx: 2.5 }));

// When each part ran, counted from the call's arrival: a row is [name, [[part, begin, milliseconds], ...]]. Searches
// that were timed one by one have a row each; otherwise retrieve and rerank have one row each.
function lanesOf(latency, attempts) {
  const timed = attempts.length > 1 && attempts.every((each) => each.start_ms != null);
  const lanes = [];
  let now = 0;
  const after = (name) => {
    const bar = [name, now, latency[name] ?? 0];
    now += bar[2];
    return bar;
  };
  const add = (name) => latency[name] >= LEAST && lanes.push([name, [after(name)]]);
  add("queue");
  if (timed) {
    for (const each of attempts) {
      now = Math.max(now, each.start_ms);
      const times = { retrieve: each.retrieve_ms ?? 0, rerank: each.rerank_ms ?? 0 };
      lanes.push([each.strategy, Object.entries(times).map(([name, time]) => [name, (now += time) - time, time])]);
    }
  } else {
    add("retrieve");
    add("rerank");
  }
  add("generate");
  return lanes;
}

// The parts one below the other, each drawn from its begin; `firstToken` is marked.
export function waterfall(latency, attempts, firstToken) {
  const lanes = lanesOf(latency, attempts);
  if (!lanes.length) return null;
  const all = Math.max(latency.total ?? 0, ...lanes.flatMap(([, bars]) => bars.map(([, begin, time]) => begin + time)));
  const share = (time) => (100 * time) / all;
  const rows = lanes.map(([name, bars]) =>
    el("tr", {},
      el("th", { scope: "row" }, name),
      el("td", { class: "lane" },
        svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
          svg("rect", { class: "lane-back", width: 100, height: 10 }),
          bars.map(([part, begin, time]) => svg("rect", { class: `part-${part}`, x: share(begin), width: Math.max(0.5, share(time)), height: 10 })),
          name === "generate" && firstToken <= all && firstToken > 0
            && svg("rect", { class: "first-token", x: share(firstToken), width: 0.5, height: 10 }),
        ),
      ),
      el("td", { class: "figure" }, ms(bars.reduce((sum, [, , time]) => sum + time, 0))),
    ),
  );
  const mixed = lanes.some(([, bars]) => bars.length > 1);
  return el("div", {},
    el("table", { class: "waterfall" },
      el("caption", { class: "hidden" }, "Time by part"),
      el("tbody", {}, rows),
      el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "total"), el("td"), el("td", { class: "figure" }, ms(latency.total)))),
    ),
    mixed && el("ul", { class: "legend" }, ["retrieve", "rerank", "generate"].map((name) => el("li", {}, swatch(`part-${name}`), `${name} `, el("b", {}, ms(latency[name]))))),
    firstToken > 0 && el("p", { class: "hint" }, `First token after ${ms(firstToken)}.`),
  );
}

export function confidenceBar(value, abstained = false) {
  const share = Math.min(1, Math.max(0, value ?? 0));
  return el("span", { class: "confidence" },
    el("b", {}, confidence(value)),
    value != null && svg("svg", { class: "meter", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "lane-back", width: 100, height: 10 }),
      svg("rect", { class: abstained ? "level low" : "level", width: 100 * share, height: 10 }),
    ),
  );
}

const STRATEGIES = {
  question: "as asked",
  conversation: "with the question before it",
  spelling: "words respelled",
  meaning: "by meaning more than by words",
  chat: "rewritten by the model",
  hyde: "with an invented answer",
};

// The searches in order; the one that the answer is based on is marked.
export function attemptList(attempts, abstained) {
  return el("ol", { class: "attempts" },
    attempts.map((each) =>
      el("li", { class: each.took ? "taken" : "" },
        el("p", {}, el("b", {}, each.strategy), STRATEGIES[each.strategy] && el("span", { class: "hint" }, ` ${STRATEGIES[each.strategy]}`),
          each.took && el("span", { class: "tag" }, "taken")),
        el("p", { class: "query" }, each.query),
        confidenceBar(each.confidence, abstained),
      ),
    ),
  );
}

export function tokensLine(input, output, generateMs) {
  const speed = output > 0 && generateMs > 0 ? ` · ${count(output / (generateMs / 1000))} tokens/s` : "";
  return `${count(input)} in · ${count(output)} out${speed}`;
}

export const modelOf = ({ model }) => (model === "quote" ? "none: quoted word for word" : model || UNKNOWN);
