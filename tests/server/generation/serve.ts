/**
 * The application on a real port, over fakes.
 *
 * @module
 */
import OpenAI from "openai";
import { type AppOptions, createApp } from "../../../server/mod.ts";
import { FakeGeneration, type FakeGenerationOptions } from "../fake_generation.ts";
import { fakeServices } from "../fakes.ts";

/** A server to call. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly generation: FakeGeneration;
  /** OpenAI's own client of it, which does not try again. */
  readonly openai: OpenAI;
}

/** Opens a server whose model behaves as told. */
export function serveFakes(
  options: FakeGenerationOptions = {},
  generation = new FakeGeneration(options),
  appOptions: AppOptions = {},
): TestServer {
  const app = createApp({ ...fakeServices(), generation }, appOptions);
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => app.fetch(request),
  );
  const { port } = server.addr;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    port,
    generation,
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Waits until nothing runs and nothing waits; fails the test that waits in vain. */
export async function untilIdle(generation: FakeGeneration, ms = 3000): Promise<void> {
  const end = performance.now() + ms;
  while (generation.load().running + generation.load().waiting > 0) {
    if (performance.now() > end) {
      throw new Error(`places are still taken: ${JSON.stringify(generation.load())}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
