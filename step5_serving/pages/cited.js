// An answer's text as it streams, with its citations as links to the passages.
//
//     text.write("Most renew [1");  text.write(", 2]. So");     Most renew ⟦1⟧ ⟦2⟧. So
//
// Text that may become a citation waits for its closing bracket; all else appears at once.

import { el } from "./dom.js";

const CITATION = /\[(\d+(?:\s*,\s*\d+)*)\]/;
const MAY_BECOME_ONE = /\[[\d\s,]{0,24}$/;

export class CitedText {
  #waiting = "";
  #claim = ""; // the text since the last citation, which the next one supports

  // `sources` are the passages, `passages` their list on the page; `cited` counts the citations of each.
  constructor(target, sources = [], passages = null) {
    this.target = target;
    this.sources = new Map(sources.map((source) => [source.number, source]));
    this.passages = passages;
    this.cited = new Map();
    target.replaceChildren();
  }

  write(text) {
    this.#waiting += text;
    for (let found; (found = CITATION.exec(this.#waiting)); ) {
      this.#plain(this.#waiting.slice(0, found.index));
      if (/\w/.test(this.#claim)) this.claim = this.#claim; // [1] [2]: both for the same
      for (const number of new Set(found[1].split(",").map(Number))) this.#cite(number, this.claim);
      this.#claim = "";
      this.#waiting = this.#waiting.slice(found.index + found[0].length);
    }
    const cut = this.#waiting.search(MAY_BECOME_ONE);
    const ready = cut < 0 ? this.#waiting.length : cut;
    this.#plain(this.#waiting.slice(0, ready));
    this.#waiting = this.#waiting.slice(ready);
  }

  end() {
    this.#plain(this.#waiting);
    this.#waiting = "";
  }

  #plain(text) {
    if (!text) return;
    this.#claim += text;
    const last = this.target.lastChild;
    if (last?.nodeType === Node.TEXT_NODE) last.appendData(text);
    else this.target.append(text);
  }

  #cite(number, claim) {
    const source = this.sources.get(number);
    if (!source) {
      this.target.append(el("span", { class: "cite missing", title: "There is no such passage" }, String(number)));
      return;
    }
    this.cited.set(number, (this.cited.get(number) ?? 0) + 1);
    const attributes = {
      class: "cite",
      href: `#${this.passages?.idPrefix}-${number}`,
      title: source.place || source.document,
      "aria-label": `passage ${number}`,
      onclick: (event) => {
        event.preventDefault(); // the address stays as it is, and the same citation works twice
        this.passages?.open(number, event.currentTarget, claim);
      },
    };
    this.target.append(el("a", attributes, String(number)));
  }
}
