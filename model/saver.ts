/**
 * The near side of the Worker that writes checkpoints. One is written at a time, while the caller goes on.
 *
 * @module
 */
import { type CheckpointContents, CheckpointError } from "./checkpoint.ts";
import type { Retention } from "./run/retention.ts";

/** To the Worker. */
export interface SaveRequest {
  /** Directory of the run. */
  readonly directory: string;
  readonly contents: CheckpointContents;
  /** Which older ones go once it is there. */
  readonly retention: Retention;
}

/** What has been written, and what is gone. */
export interface Written {
  readonly path: string;
  /** Steps whose checkpoints were removed. */
  readonly removed: readonly number[];
}

/** From the Worker: where the checkpoint is, or why it is not. */
export type SaveReply = Written | { readonly path: string; readonly problem: string };

/** A checkpoint that has been written. */
export interface Saved extends Written {
  readonly step: number;
  /** When it was handed over, on this thread's `performance.now()`. */
  readonly start: number;
  /** When it was known to be on the disk, likewise. */
  readonly end: number;
}

/** Writes checkpoints in a Worker, which starts with the first one. */
export class Saver {
  #worker?: Worker;
  #last: Promise<void> = Promise.resolve();
  #problem?: unknown;

  /** @param onSaved Called with every checkpoint that has been written. */
  constructor(private readonly onSaved: (saved: Saved) => void) {}

  /** Starts to write a checkpoint, once {@link settled}. Its arrays belong to the Worker from then on. */
  save(directory: string, contents: CheckpointContents, retention: Retention = {}): void {
    const { step } = contents.trainer;
    const start = performance.now();
    this.#last = this.#write({ directory, contents, retention }).then(
      (written) => this.onSaved({ ...written, step, start, end: performance.now() }),
      (problem) => this.#problem = problem,
    );
  }

  /** @throws {CheckpointError} when a checkpoint could not be written so far. */
  check(): void {
    if (this.#problem !== undefined) throw this.#problem;
  }

  /**
   * Waits until all checkpoints are on the disk.
   *
   * @throws {CheckpointError} when one could not be written.
   */
  async settled(): Promise<void> {
    await this.#last;
    this.check();
  }

  /** Ends the Worker, once it has written what it was given. */
  async close(): Promise<void> {
    await this.#last;
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #write(request: SaveRequest): Promise<Written> {
    const worker = this.#worker ??= new Worker(new URL("./save_worker.ts", import.meta.url), {
      type: "module",
    });
    const { promise, resolve, reject } = Promise.withResolvers<Written>();
    worker.onmessage = ({ data }: MessageEvent<SaveReply>) =>
      "problem" in data ? reject(new CheckpointError(data.path, data.problem)) : resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new CheckpointError(request.directory, event.message));
    };
    const { parameters, optimizer = [] } = request.contents;
    const buffers = new Set([...parameters, ...optimizer].map(({ data }) => data.buffer));
    worker.postMessage(request, [...buffers].filter((buffer) => buffer instanceof ArrayBuffer));
    return promise;
  }
}
