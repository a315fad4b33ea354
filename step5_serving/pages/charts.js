// Charts over time by uPlot (uplot/, MIT), and the stages of a call as bars side by side.
//
//     const chart = new TimeChart({ title: "Calls", kind: "bars", series: [{ name: "calls", color: "--c-main", format: count }], unit: per("calls"), summary });
//     chart.update({ from, to, step }, [{ start, values: [12] }, ...]);
//
// Each chart has a sentence for screen readers and a table of its values. Colours are variables of style.css,
// which have a light and a dark value.

import { clock, compact, day, el, svg } from "./dom.js";

const HEIGHT = 170;
const MINUTE = 60_000;
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class TimeChart {
  // `series`: [{ name, color, format }]; bars stand on each other, the last one at the bottom.
  // `unit(max, span)` gives [its name, what to divide by]; `summary(rows)` is the sentence for screen readers.
  constructor({ title, kind, series, unit, summary }) {
    Object.assign(this, { title, kind, series, unit, summary });
    this.unitLine = el("span", { class: "unit" });
    this.plot = el("div", { class: "plot", role: "img" });
    this.table = el("div", { class: "scroll" });
    this.element = el("figure", { class: "card chart" },
      el("figcaption", {}, el("h2", {}, title), this.unitLine),
      this.plot,
      el("details", {}, el("summary", {}, "As a table"), this.table));
    new ResizeObserver(() => this.draw()).observe(this.plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.chart?.redraw());
  }

  // `span`: { from, to, step } in milliseconds; `rows`: [{ start: Date, values }], null where there is none.
  update(span, rows) {
    Object.assign(this, { span, rows });
    this.plot.setAttribute("aria-label", `${this.title}. ${this.summary(rows)}`);
    const head = ["from", ...this.series.map((each) => each.name)];
    this.table.replaceChildren(table(head, rows.map(({ start, values }) =>
      [label(start, span), ...values.map((value, i) => this.series[i].format(value))])));
    const shown = this.series.map((_, i) => rows.map(({ values }) => (this.kind === "bars" ? sum(values.slice(i)) : values[i])));
    [this.unitLine.textContent, this.divisor] = this.unit(Math.max(0, ...shown.flat()), span);
    const place = (start) => {
      const from = Math.max(span.from, start);
      return this.kind === "bars" ? from : (from + Math.min(span.to, +start + span.step)) / 2; // a line goes through the middle
    };
    this.data = [rows.map(({ start }) => place(start)), ...shown];
    this.chart?.setData(this.data);
    this.draw();
  }

  draw() {
    const width = this.plot.clientWidth;
    if (width === 0 || !this.data) return; // not on the page yet
    if (this.chart) this.chart.setSize({ width, height: HEIGHT });
    else this.chart = new uPlot({ ...this.options(), width, height: HEIGHT }, this.data, this.plot);
  }

  options() {
    const axis = { stroke: () => color("--soft"), grid: { stroke: () => color("--line"), width: 1 }, ticks: { show: false }, font: "11.5px system-ui, sans-serif" };
    const isBars = this.kind === "bars";
    const shape = isBars ? { paths: uPlot.paths.bars({ size: [0.85, 60], align: 1 }), points: { show: false } } : { width: 2, points: { show: true, size: 4 } };
    return {
      ms: 1,
      cursor: { y: false, drag: { x: false }, points: { show: !isBars } },
      scales: {
        x: { range: () => [this.span.from, this.span.to] },
        y: { range: (_chart, _low, high) => [0, high > 0 ? high * 1.05 : this.divisor] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 70, values: (_chart, times) => times.map((time) => tick(time, this.span)) },
        { ...axis, size: 46, space: 34, values: (_chart, values) => values.map((value) => amount(value / this.divisor)) },
      ],
      series: [
        { label: "", value: (_chart, _time, _series, i) => (this.rows[i] ? label(this.rows[i].start, this.span) : "") },
        ...this.series.map((each, place) => ({
          label: each.name,
          stroke: () => color(each.color),
          ...(isBars && { fill: () => color(each.color), width: 0 }),
          value: (_chart, _shown, _series, i) => (this.rows[i] ? each.format(this.rows[i].values[place]) : ""),
          ...shape,
        })),
      ],
    };
  }
}

// A row per stage: a bar to the median, a fainter one to the 95th percentile.
export class StageChart {
  constructor({ title, format }) {
    this.format = format;
    this.rows = el("div");
    this.element = el("figure", { class: "card chart" },
      el("figcaption", {}, el("h2", {}, title), el("span", { class: "unit" }, "p50 · p95")), this.rows);
  }

  // `rows`: [{ name, class, p50, p95 }] in milliseconds.
  update(rows) {
    const known = rows.filter((row) => row.p50 != null);
    const longest = Math.max(1, ...known.map((row) => row.p95));
    const bar = (row, time, name) => svg("rect", { class: `${row.class} ${name}`, width: Math.max(0.5, (100 * time) / longest), height: 10 });
    this.rows.replaceChildren(el("table", { class: "waterfall" }, el("tbody", {}, known.map((row) =>
      el("tr", {},
        el("th", { scope: "row" }, row.name),
        el("td", { class: "lane" }, svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
          bar(row, row.p95, "faint"), bar(row, row.p50, ""))),
        el("td", { class: "figure" }, `${this.format(row.p50)} · ${this.format(row.p95)}`))))));
  }
}

// --- figures and times ----------------------------------------------------------------------------------

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
const amount = (value) => (value >= 10000 ? compact(value) : String(Number(value.toPrecision(3))));
const isLong = ({ from, to }) => to - from > 48 * 60 * MINUTE;
const isMidnight = (time) => new Date(time).setHours(0, 0, 0, 0) === time;
const tick = (time, span) => (isLong(span) || isMidnight(time) ? day(time) : clock(time));
const label = (start, span) => (isLong(span) ? `${day(start)}, ${clock(start)}` : clock(start));

// "calls per 30 min": the unit of a bar's height.
export const per = (name) => (_highest, { step }) => {
  const minutes = step / MINUTE;
  const length = minutes < 1.5 ? `${Math.round(step / 1000)} s` : minutes < 90 ? `${Math.round(minutes)} min` : `${Number((minutes / 60).toFixed(1))} h`;
  return [`${name} per ${length}`, 1];
};

// A table of texts and elements; columns of numbers are aligned right.
export function table(head, rows, { numbers = head.map((_, i) => i > 0), attributes = () => ({}) } = {}) {
  return el("table", {},
    el("thead", {}, el("tr", {}, head.map((name, i) => el("th", { scope: "col", class: numbers[i] && "figure" }, name)))),
    el("tbody", {}, rows.map((cells, i) =>
      el("tr", attributes(i), cells.map((cell, j) => el("td", { class: numbers[j] && "figure" }, cell))))),
  );
}
