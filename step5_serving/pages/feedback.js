// A thumb and a comment on an answer: POST /feedback. A second one replaces the first.

import { Trouble, request } from "./api.js";
import { el } from "./dom.js";

const THUMBS = [["up", "👍", "Good answer"], ["down", "👎", "Bad answer"]];

export function feedbackForm(call) {
  let thumb = null;
  const line = el("p", { class: "hint", "aria-live": "polite" });
  const comment = el("input", { type: "text", maxlength: 2000, placeholder: "What was wrong, or right? (optional)", "aria-label": "Comment on the answer" });
  const buttons = THUMBS.map(([name, sign, title]) =>
    el("button", { type: "button", title, "aria-label": title, "aria-pressed": "false", onclick: () => choose(name) }, sign));

  function choose(name) {
    thumb = name;
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(THUMBS[i][0] === name)));
    send();
  }

  async function send() {
    const said = comment.value.trim();
    if (!thumb && !said) return;
    const body = { trace_id: call.span_id, ...(thumb && { thumb }), ...(said && { comment: said }) };
    try {
      await request("/feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      line.textContent = "Thank you: it is kept with the answer.";
    } catch (error) {
      line.textContent = error instanceof Trouble ? error.message : "It could not be sent.";
    }
  }

  const form = el("form", { class: "feedback", "aria-label": "Feedback" }, buttons, comment, el("button", { type: "submit" }, "Send"), line);
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  return form;
}
