// Server-sent events from a fetch response: the browser's own EventSource can't POST.
//
//     event: delta
//     data: {"text": "Most"}          ->     { event: "delta", data: '{"text": "Most"}' }
//
// Pieces may end anywhere: inside a line, between \r and \n, inside a character of several bytes. The
// format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

class Parser {
  #rest = "";
  #event = "";
  #data = [];

  // The events that this piece of text completes.
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/); // a last \r may be half of \r\n: it waits
    this.#rest = lines.pop();
    return lines.flatMap((line) => this.#line(line));
  }

  // What waited for the other half of \r\n. An event without its final blank line is dropped.
  end() {
    return this.#rest.endsWith("\r") ? this.push("\n") : [];
  }

  #line(line) {
    if (line === "") {
      const done = this.#data.length ? [{ event: this.#event || "message", data: this.#data.join("\n") }] : [];
      this.#event = "";
      this.#data = [];
      return done;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon); // ":" first is a comment: the field ""
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    if (field === "data") this.#data.push(value);
    return [];
  }
}

// The events of a response's body, as they come. When the reader stops, the connection is closed.
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new Parser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      yield* parser.push(decoder.decode(value, { stream: !done }));
      if (done) break;
    }
    yield* parser.end();
  } finally {
    reader.cancel().catch(() => {}); // it may be broken already
  }
}
