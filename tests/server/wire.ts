/**
 * An application on a real port, and clients that speak to it byte by byte.
 *
 * @module
 */
import { listen } from "../../server/listen.ts";
import type { TestApp } from "./support.ts";

/** Serves an application on a free port while `body` runs. */
export async function onPort({ app }: TestApp, body: (url: URL) => Promise<void>): Promise<void> {
  const port = listen("127.0.0.1", 0);
  port.answerWith((request) => app.fetch(request));
  try {
    await body(new URL(port.url));
  } finally {
    await port.close();
  }
}

/** Sends bytes as they are, and returns what comes back until the server closes or `enough` says so. */
export async function exchange(
  url: URL,
  text: string,
  enough: (answer: string) => boolean = () => false,
): Promise<string> {
  using connection = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
  let answer = "";
  try {
    await connection.write(new TextEncoder().encode(text));
    const decoder = new TextDecoder();
    for await (const chunk of connection.readable.values({ preventCancel: true })) {
      answer += decoder.decode(chunk, { stream: true });
      if (enough(answer)) break;
    }
  } catch (problem) {
    // A reset is what remains of a connection that was closed on unread bytes.
    const { ConnectionReset, BrokenPipe } = Deno.errors;
    if (!(problem instanceof ConnectionReset || problem instanceof BrokenPipe)) throw problem;
  }
  return answer;
}
