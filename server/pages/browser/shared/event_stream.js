// @ts-check
/**
 * Server-sent events over `fetch`, because `EventSource` sends neither tokens nor bodies. Read as the HTML standard says
 * (section 9.2.6, "Interpreting an event stream").
 *
 * @module
 */

/**
 * @typedef {object} StreamEvent
 * @property {string} id Of this event, or the last one that had an id.
 * @property {string} event Its name; `message` when it has none.
 * @property {string} data
 */

/**
 * The events of a response, as they come. Leaving the loop closes the stream.
 *
 * @param {Response} response
 * @returns {AsyncGenerator<StreamEvent, void>}
 */
export async function* eventsOf(response) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let id = "";
  let event = "";
  /** @type {string[]} */
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      // A CR at the end may be half of a CRLF.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length > 0) yield { id, event: event || "message", data: data.join("\n") };
          event = "";
          data = [];
          continue;
        }
        const [, name, text] = /** @type {RegExpMatchArray} */ (line.match(/^([^:]*)(?:: ?(.*))?$/s));
        if (name === "data") data.push(text ?? "");
        else if (name === "event") event = text ?? "";
        else if (name === "id" && !text?.includes("\0")) id = text ?? "";
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
