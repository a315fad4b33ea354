// The passages of an answer. A citation opens its passage and marks the sentence closest to the cited claim.
//
//     const passages = new Passages(list, sources);
//     passages.open(2, link, "The notice period is 90 days");     passage 2 is shown, its closest sentence marked

import { el } from "./dom.js";

export class Passages {
  constructor(list, sources, idPrefix = "passage") {
    this.items = new Map();
    this.idPrefix = idPrefix;
    list.replaceChildren(...sources.map((source) => this.#item(source)));
  }

  #item(source) {
    const text = el("p", { class: "passage-text" }, source.text);
    const more = el("button", { type: "button", class: "more", "aria-expanded": "false", onclick: () => this.#unfold(item, more) }, "Show all");
    const back = el("button", { type: "button", class: "more back", onclick: () => this.#back() }, "Back to the answer");
    const item = el("li", { id: `${this.idPrefix}-${source.number}`, class: "card passage", tabindex: "-1" },
      el("h3", {}, el("span", { class: "number" }, String(source.number)),
        el("span", { class: "document" }, source.document),
        placeOf(source) && el("span", { class: "place" }, placeOf(source))),
      text, more, back);
    this.items.set(source.number, item);
    return item;
  }

  // Fold long passages and give them a button; call it once they are on the page.
  fold() {
    for (const item of this.items.values()) {
      const text = item.querySelector(".passage-text");
      item.classList.toggle("fits", text.scrollHeight <= text.clientHeight + 2);
    }
  }

  #unfold(item, button, open = !item.classList.contains("open")) {
    item.classList.toggle("open", open);
    item.querySelector(".passage-text").tabIndex = open ? 0 : -1; // a long one scrolls, by keyboard too
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Show less" : "Show all";
  }

  // Show a cited passage and scroll to the sentence closest to the claim. `from` is the citation, for the way back.
  open(number, from, claim = "") {
    this.from = from;
    for (const each of this.items.values()) each.classList.remove("shown");
    const item = this.items.get(number);
    const text = item.querySelector(".passage-text");
    const marked = mark(text, claim);
    if (!item.classList.contains("fits")) this.#unfold(item, item.querySelector(".more"), true);
    item.classList.add("shown");
    item.focus({ preventScroll: true });
    if (marked) text.scrollTop = marked.offsetTop - text.clientHeight / 3;
    moveTo(item, "nearest");
  }

  #back() {
    this.from.focus({ preventScroll: true });
    moveTo(this.from, "center");
  }

  // Mark which passages the answer cites.
  mark(cited) {
    for (const [number, item] of this.items) {
      item.classList.toggle("cited", cited.has(number));
      item.classList.toggle("uncited", cited.size > 0 && !cited.has(number));
    }
    this.fold();
  }
}

const SENTENCE = /(?=\S)[^.!?\n]+(?:[.!?](?!\s)[^.!?\n]*)*[.!?]*/g; // 3.2 and example.com don't end one
const CLOSE = 0.35;

// Mark the sentence that shares most words with the claim, if one is close.
function mark(element, claim) {
  const text = element.textContent;
  const wanted = wordsOf(claim);
  let best = { score: CLOSE };
  for (const { 0: sentence, index } of text.matchAll(SENTENCE)) {
    const own = wordsOf(sentence);
    const shared = [...own].filter((word) => wanted.has(word)).length;
    const score = shared / Math.sqrt(own.size * wanted.size || 1);
    if (score > best.score) best = { score, index, sentence };
  }
  if (!best.sentence) return void element.replaceChildren(text);
  const marked = el("mark", {}, best.sentence);
  element.replaceChildren(text.slice(0, best.index), marked, text.slice(best.index + best.sentence.length));
  return marked;
}

const wordsOf = (text) => new Set(text.toLowerCase().match(/[\p{L}\p{N}]{2,}/gu) ?? []);

function moveTo(element, block) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block, behavior: still ? "instant" : "smooth" });
}

// "contracts/supply.md, Renewal" without the document, which is shown beside it.
function placeOf({ document, place = "" }) {
  return place === document ? "" : place.startsWith(`${document}, `) ? place.slice(document.length + 2) : place;
}
