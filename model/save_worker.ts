/**
 * The Worker that writes checkpoints: hashing, writing and syncing some gigabytes takes seconds, in which the thread that
 * owns the device has to submit steps.
 *
 * @module
 */
import { CheckpointError, listCheckpoints, removeCheckpoint, saveCheckpoint, stepOf } from "./checkpoint.ts";
import { expendable, type Retention } from "./run/retention.ts";
import type { SaveReply, SaveRequest } from "./saver.ts";

interface WorkerScope {
  onmessage: ((message: MessageEvent<SaveRequest>) => void) | null;
  postMessage(reply: SaveReply): void;
}

const worker = self as unknown as WorkerScope;

worker.onmessage = async ({ data: { directory, contents, retention } }) => {
  try {
    const path = await saveCheckpoint(directory, contents);
    worker.postMessage({ path, removed: await thinOut(directory, retention) });
  } catch (problem) {
    const { path, problem: reason } = problem instanceof CheckpointError
      ? problem
      : { path: directory, problem: String(problem) };
    worker.postMessage({ path, problem: reason });
  }
};

/** Removes the checkpoints that may go; one that cannot be removed stays. */
async function thinOut(directory: string, retention: Retention): Promise<number[]> {
  const paths = new Map((await listCheckpoints(directory)).map((path) => [stepOf(path), path]));
  const removed: number[] = [];
  for (const step of expendable([...paths.keys()], retention)) {
    if (await removeCheckpoint(paths.get(step)!).then(() => true, () => false)) removed.push(step);
  }
  return removed;
}
