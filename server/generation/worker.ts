/**
 * The Worker of generation.
 *
 * @module
 */
import { GenerationHost } from "./host.ts";
import type { HostCommand, HostEvent } from "./messages.ts";

interface WorkerScope {
  onmessage: ((message: MessageEvent<HostCommand>) => void) | null;
  postMessage(event: HostEvent): void;
}

const worker = self as unknown as WorkerScope;
let host: Promise<GenerationHost | undefined> | undefined;

worker.onmessage = async ({ data }) => {
  if (data.kind === "open") {
    host = GenerationHost.open(data.options, (event) => worker.postMessage(event));
  } else (await host)?.handle(data);
};
