/**
 * A client that asks the server and keeps time.
 *
 * @module
 */

/** An answer, and when its parts came. */
export interface StreamedAnswer {
  readonly text: string;
  readonly tokens: number;
  /** Milliseconds from the request to the first token, and to the end. */
  readonly firstMs: number;
  readonly totalMs: number;
}

/** Data of server-sent events, as they come. */
export async function* sseData(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<{ event: string; data: string }> {
  let rest = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      if (data !== undefined) yield { event: field("event") ?? "message", data };
    }
  }
}

/** A request of `POST /generate`. */
export type Ask = Readonly<Record<string, unknown>>;

/**
 * Streams an answer.
 *
 * @throws {Error} when the server refuses, or the stream breaks off.
 */
export async function stream(url: string, ask: Ask): Promise<StreamedAnswer> {
  const start = performance.now();
  const response = await fetch(`${url}/generate`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...ask, stream: true }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  let text = "";
  let tokens = 0;
  let firstMs = NaN;
  let isWhole = false;
  for await (const { event, data } of sseData(response.body!)) {
    if (event === "token") {
      if (tokens++ === 0) firstMs = performance.now() - start;
      text += JSON.parse(data).text;
    } else if (event === "error") throw new Error(data);
    else if (event === "end") isWhole = true;
  }
  if (!isWhole) throw new Error("the stream ended before its end");
  return { text, tokens, firstMs, totalMs: performance.now() - start };
}

/** JSON from the server. */
export async function json(url: string, init?: RequestInit): Promise<Record<string, unknown>> {
  const response = await fetch(url, init);
  const body = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${body}`);
  return JSON.parse(body);
}

/** A POST of JSON. */
export function posted(body: unknown): RequestInit {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

/** A metric without labels, as the server reports it now; NaN when there is none. */
export async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(text.match(new RegExp(`^${name} (\\S+)$`, "m"))?.[1] ?? NaN);
}

/** The value below which a share of the values lies; nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? NaN;
}
