/**
 * A Worker that tells whether there is an adapter. An isolate keeps the driver list of its first `requestAdapter()`, so
 * the question is asked in an isolate that nobody needs afterwards.
 *
 * @module
 */
import { prepareEnvironment } from "./environment.ts";

const worker = self as unknown as { postMessage(found: boolean): void; close(): void };

prepareEnvironment();
const adapter = await navigator.gpu?.requestAdapter();
worker.postMessage(adapter !== null && adapter !== undefined);
worker.close();
