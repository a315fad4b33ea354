// Charts in SVG, by hand: values over time as bars or lines, and the stages of a call as bars side by side.
//
//     const chart = new TimeChart({ title: "Calls", kind: "bars", series: [{ name: "calls", class: "c-main" }], unit: () => ["calls", 1] });
//     chart.update({ from, to, step }, [{ start, values: [12] }, ...]);
//
// A chart is drawn as wide as its place is, so that letters keep their size. What it shows is said in one
// sentence for screen readers, and in full in a table below it. Colours are classes: style.css gives them.

import { clock, compact, day, el, svg } from "./dom.js";
import { swatch } from "./trace.js";

const HEIGHT = 190;
const ROOM = { left: 44, right: 10, top: 12, bottom: 24 };

class Chart {
  constructor(title) {
    this.unitLine = el("span", { class: "unit" });
    this.legend = el("ul", { class: "legend" });
    this.plot = el("div", { class: "plot", role: "img" });
    this.table = el("div", { class: "scroll" });
    this.element = el("figure", { class: "card chart" },
      el("figcaption", {}, el("h2", {}, title), this.unitLine),
      this.legend, this.plot,
      el("details", {}, el("summary", {}, "As a table"), this.table));
    this.title = title;
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  draw() {
    const width = this.plot.clientWidth;
    if (width > 0 && this.facts) this.paint(width);
  }
}

export class TimeChart extends Chart {
  // `series`: [{ name, class, format }], drawn from the bottom up; `unit(max, span)` gives [its name, what to divide by].
  // `summary(rows)` is the sentence for screen readers.
  constructor({ title, kind, series, unit, summary, ceiling }) {
    super(title);
    Object.assign(this, { kind, series, unit, summary, ceiling });
    this.values = series.map((each) => el("b"));
    this.legend.append(...series.map((each, i) => el("li", {}, swatch(each.class), `${each.name} `, this.values[i])));
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerdown", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.point(null));
  }

  // `span`: { from, to, step } in milliseconds; `rows`: [{ start: Date, values }], null where there is none.
  update(span, rows) {
    this.facts = { span, rows };
    this.plot.setAttribute("aria-label", `${this.title}. ${this.summary(rows)}`);
    const head = ["from", ...this.series.map((each) => each.name)];
    this.table.replaceChildren(table(head, rows.map(({ start, values }) =>
      [label(start, span), ...values.map((value, i) => this.series[i].format(value))])));
    this.draw();
  }

  paint(width) {
    const { span, rows } = this.facts;
    const heights = rows.map(({ values }) => (this.kind === "bars" ? sum(values) : Math.max(...values.map((v) => v ?? 0))));
    const highest = Math.max(0, ...heights);
    const [unit, divisor] = this.unit(highest, span);
    const ticks = niceTicks(Math.min(highest || divisor, this.ceiling ?? Infinity) / divisor, this.ceiling && this.ceiling / divisor);
    const top = ticks.at(-1) * divisor;
    const right = width - ROOM.right;
    const bottom = HEIGHT - ROOM.bottom;
    const x = (time) => ROOM.left + ((time - span.from) / (span.to - span.from)) * (right - ROOM.left);
    const y = (value) => bottom - (value / top) * (bottom - ROOM.top);
    this.scale = { x, width };
    this.said = unit;
    const parts = ticks.flatMap((tick) => [
      svg("line", { class: tick === 0 ? "axis" : "grid", x1: ROOM.left, x2: right, y1: y(tick * divisor), y2: y(tick * divisor) }),
      svg("text", { class: "tick", x: ROOM.left - 7, y: y(tick * divisor) + 4, "text-anchor": "end" }, tickText(tick)),
    ]);
    for (const time of timeTicks(span, Math.max(2, Math.floor(width / 85)))) {
      const at = x(time);
      parts.push(svg("line", { class: "axis", x1: at, x2: at, y1: bottom, y2: bottom + 4 }));
      if (at > ROOM.left + 12 && at < right - 12)
        parts.push(svg("text", { class: "tick", x: at, y: HEIGHT - 6, "text-anchor": "middle" }, tickLabel(time, span)));
    }
    this.cursor = svg("rect", { class: "cursor", y: ROOM.top, height: bottom - ROOM.top, width: 0, x: 0 });
    parts.push(this.cursor, ...(this.kind === "bars" ? this.bars(x, y, bottom) : this.lines(x, y)));
    this.plot.replaceChildren(svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" }, parts));
    this.point(null);
  }

  bars(x, y, bottom) {
    const { span, rows } = this.facts;
    return rows.flatMap(({ start, values }) => {
      const left = x(Math.max(span.from, start.getTime()));
      const width = x(Math.min(span.to, start.getTime() + span.step)) - left;
      const gap = width > 6 ? 1.5 : width > 3 ? 1 : 0;
      let floor = 0;
      return values.flatMap((value, i) => {
        if (!value) return [];
        const [low, high] = [y(floor), y((floor += value))];
        return svg("rect", { class: this.series[i].class, x: left + gap / 2, width: Math.max(1, width - gap), y: high, height: Math.max(0.5, Math.min(low, bottom) - high) });
      });
    });
  }

  // A line stops where nothing was called; a point without neighbours is a dot.
  lines(x, y) {
    const { span, rows } = this.facts;
    return this.series.flatMap((each, i) => {
      const runs = [[]];
      let last = null;
      for (const { start, values } of rows) {
        const time = start.getTime();
        if (values[i] == null || (last != null && time - last > 1.5 * span.step)) runs.push([]);
        if (values[i] == null) continue;
        const middle = Math.min(span.to, Math.max(span.from, time) + span.step / 2);
        runs.at(-1).push([x(middle), y(values[i])]);
        last = time;
      }
      return runs.filter((run) => run.length).map((run) =>
        run.length === 1
          ? svg("circle", { class: `dot ${each.class}`, cx: run[0][0], cy: run[0][1], r: 2.5 })
          : svg("polyline", { class: `line ${each.class}`, points: run.map((at) => at.map((n) => n.toFixed(1)).join(",")).join(" ") }),
      );
    });
  }

  // The values under the pointer stand in the legend.
  point(event) {
    if (!this.scale) return;
    const { span, rows } = this.facts;
    const { x } = this.scale;
    const at = event ? event.clientX - this.plot.getBoundingClientRect().left : null;
    const row = event && rows.find(({ start }) => at >= x(start.getTime()) && at < x(start.getTime() + span.step));
    this.unitLine.textContent = row ? label(row.start, span) : this.said;
    this.values.forEach((value, i) => { value.textContent = row ? this.series[i].format(row.values[i]) : ""; });
    const left = row ? x(Math.max(span.from, row.start.getTime())) : 0;
    this.cursor.setAttribute("x", left);
    this.cursor.setAttribute("width", row ? Math.max(1, x(Math.min(span.to, row.start.getTime() + span.step)) - left) : 0);
  }
}

// One row a stage: a bar to the median, a fainter one to the 95th percentile.
export class StageChart extends Chart {
  constructor({ title, format }) {
    super(title);
    this.format = format;
    this.unitLine.textContent = "milliseconds";
    this.legend.append(
      el("li", {}, swatch("c-main"), "p50"),
      el("li", {}, swatch("c-faint"), "p95"),
    );
  }

  // `rows`: [{ name, class, p50, p95 }] in milliseconds.
  update(rows) {
    this.facts = rows.filter((row) => row.p50 != null);
    const { format } = this;
    this.plot.setAttribute("aria-label", `${this.title}. ${this.facts.map((row) => `${row.name}: half within ${format(row.p50)}, 95 % within ${format(row.p95)}`).join("; ") || "Nothing measured."}`);
    this.table.replaceChildren(table(["stage", "p50", "p95"], this.facts.map((row) => [row.name, format(row.p50), format(row.p95)])));
    this.draw();
  }

  paint(width) {
    const rows = this.facts;
    const highest = Math.max(1, ...rows.map((row) => row.p95 ?? row.p50));
    const seconds = highest >= 2000;
    const divisor = seconds ? 1000 : 1;
    const ticks = niceTicks(highest / divisor);
    const left = 8;
    const right = width - 14;
    const x = (value) => left + (value / (ticks.at(-1) * divisor)) * (right - left);
    const step = Math.min(46, (HEIGHT - ROOM.bottom) / Math.max(1, rows.length));
    const bottom = HEIGHT - ROOM.bottom;
    const parts = ticks.flatMap((tick) => [
      svg("line", { class: tick === 0 ? "axis" : "grid", x1: x(tick * divisor), x2: x(tick * divisor), y1: 0, y2: bottom }),
      svg("text", { class: "tick", x: x(tick * divisor), y: bottom + 16, "text-anchor": tick === 0 ? "start" : tick === ticks.at(-1) ? "end" : "middle" }, tickText(tick)),
    ]);
    rows.forEach((row, i) => {
      const y = i * step;
      parts.push(
        svg("text", { class: "row-name", x: left + 4, y: y + 13 }, row.name),
        svg("text", { class: "row-figures", x: right - 2, y: y + 13, "text-anchor": "end" }, `${this.format(row.p50)} · ${this.format(row.p95)}`),
        svg("rect", { class: `faint ${row.class}`, x: left, y: y + 18, width: Math.max(1, x(row.p95 ?? row.p50) - left), height: step - 24 }),
        svg("rect", { class: row.class, x: left, y: y + 18, width: Math.max(1, x(row.p50) - left), height: step - 24 }),
      );
    });
    this.unitLine.textContent = seconds ? "seconds" : "milliseconds";
    this.plot.replaceChildren(svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" }, parts));
  }
}

// --- scales ---------------------------------------------------------------------------------------------

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

// From 0 in three to five round steps: 0, 20, 40, 60 for a maximum of 47; `ceiling` ends them, as 100 %.
export function niceTicks(max, ceiling = Infinity) {
  const rough = max / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const ticks = [];
  for (let n = 0; n === 0 || ticks.at(-1) < max * 0.999; n += 1) ticks.push(Math.min(ceiling, Number((n * step).toPrecision(6))));
  return ticks;
}

const MINUTE = 60_000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880].map((n) => n * MINUTE);

// Round times of the reader's own day, at most `most` of them.
export function timeTicks({ from, to }, most) {
  const step = STEPS.find((each) => (to - from) / each <= most) ?? STEPS.at(-1);
  const midnight = new Date(from).setHours(0, 0, 0, 0);
  const ticks = [];
  for (let time = midnight; time <= to; time += step) if (time >= from) ticks.push(time);
  return ticks;
}

const DAY = 24 * 60 * MINUTE;
const isLong = ({ from, to }) => to - from > 2 * DAY;
const isMidnight = (time) => new Date(time).setHours(0, 0, 0, 0) === time;
const tickLabel = (time, span) => (isLong(span) || isMidnight(time) ? day(time) : clock(time));
// "calls per 30 min": what the height of a bar counts.
export const per = (name) => (_highest, { step }) => {
  const minutes = step / MINUTE;
  const length = minutes < 1.5 ? `${Math.round(step / 1000)} s` : minutes < 90 ? `${Math.round(minutes)} min` : `${Number((minutes / 60).toFixed(1))} h`;
  return [`${name} per ${length}`, 1];
};
const label = (start, span) => (isLong(span) ? `${day(start)}, ${clock(start)}` : clock(start));
const tickText = (tick) => (tick >= 10000 ? compact(tick) : String(tick));

// A table of texts and elements; a number's column is set right.
export function table(head, rows, { numbers = head.map((_, i) => i > 0), attributes = () => ({}) } = {}) {
  return el("table", {},
    el("thead", {}, el("tr", {}, head.map((name, i) => el("th", { scope: "col", class: numbers[i] && "figure" }, name)))),
    el("tbody", {}, rows.map((cells, i) =>
      el("tr", attributes(i), cells.map((cell, j) => el("td", { class: numbers[j] && "figure" }, cell))))),
  );
}
