/**
 * The Worker that writes checkpoints: hashing, writing and syncing some gigabytes takes seconds, in which the thread that
 * owns the device has to submit steps.
 *
 * @module
 */
import { CheckpointError, saveCheckpoint } from "./checkpoint.ts";
import type { SaveReply, SaveRequest } from "./saver.ts";

interface WorkerScope {
  onmessage: ((message: MessageEvent<SaveRequest>) => void) | null;
  postMessage(reply: SaveReply): void;
}

const worker = self as unknown as WorkerScope;

worker.onmessage = async ({ data: { directory, contents } }) => {
  try {
    worker.postMessage({ path: await saveCheckpoint(directory, contents) });
  } catch (problem) {
    const { path, problem: reason } = problem instanceof CheckpointError
      ? problem
      : { path: directory, problem: String(problem) };
    worker.postMessage({ path, problem: reason });
  }
};
