// Elements, and figures as people read them.
//
//     el("p", { class: "hint" }, "took ", el("b", {}, ms(1840)))     <p class="hint">took <b>1.8 s</b></p>
//
// Strings become text, never markup: what a model, a document or a user wrote can't become an element.

const SVG = "http://www.w3.org/2000/svg";

export const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

// --- figures; null is shown as unknown ------------------------------------------------------------------

export const UNKNOWN = "unknown";
const known = (value, format) => (value == null || Number.isNaN(value) ? UNKNOWN : format(value));
const number = (options) => new Intl.NumberFormat("en", options);
const whole = number({ maximumFractionDigits: 0 });
const short = number({ notation: "compact", maximumFractionDigits: 1 });
const figures = number({ maximumSignificantDigits: 3 });
const money = number({ style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 2 });
const cents = number({ style: "currency", currency: "USD", minimumSignificantDigits: 2, maximumSignificantDigits: 2 });

export const count = (value) => known(value, whole.format);
export const compact = (value) => known(value, short.format);
export const ms = (value) =>
  known(value, () =>
    value >= 59950 ? `${figures.format(value / 60000)} min`
    : value >= 999.5 ? `${(value / 1000).toFixed(value >= 9950 ? 0 : 1)} s`
    : value >= 9.95 || value < 0.05 ? `${Math.round(value)} ms`
    : `${value.toFixed(1)} ms`,
  );
export const usd = (value) =>
  known(value, () => (value === 0 ? "$0" : value < 0.01 ? cents.format(value) : money.format(value)));
export const percent = (share) =>
  known(share, () => `${share === 0 || share >= 0.0995 ? Math.round(share * 100) : (share * 100).toFixed(1)} %`);
export const confidence = (value) => known(value, () => value.toFixed(2));

// --- times: the service sends UTC, pages show local time ------------------------------------------------

const moment = (options) => new Intl.DateTimeFormat("en-GB", options);
const hours = moment({ hour: "2-digit", minute: "2-digit" });
const seconds = moment({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const days = moment({ weekday: "short", day: "numeric" });
const full = moment({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const clock = (date) => hours.format(date);
export const exactly = (date) => seconds.format(date);
export const day = (date) => days.format(date);
export const dayAndTime = (date) => full.format(date);
// Python's isoformat without a zone would be read as local time.
export const when = (text) => new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
