/**
 * The near side of the Worker that writes checkpoints. One is written at a time, while the caller goes on.
 *
 * @module
 */
import { type CheckpointContents, CheckpointError } from "./checkpoint.ts";

/** To the Worker. */
export interface SaveRequest {
  /** Directory of the run. */
  readonly directory: string;
  readonly contents: CheckpointContents;
}

/** From the Worker: where the checkpoint is and when it was written, or why it is not. */
export type SaveReply =
  | {
    readonly path: string;
    /** Milliseconds since 1970. */
    readonly start: number;
    /** Milliseconds since 1970. */
    readonly end: number;
  }
  | { readonly path: string; readonly problem: string };

/** A checkpoint that has been written. */
export type Saved = Exclude<SaveReply, { readonly problem: string }>;

/** Writes checkpoints in a Worker, which starts with the first one. */
export class Saver {
  #worker?: Worker;
  #last: Promise<void> = Promise.resolve();
  #problem?: unknown;

  /** @param onSaved Called with every checkpoint that has been written, and the step that it is of. */
  constructor(private readonly onSaved: (saved: Saved, step: number) => void) {}

  /**
   * Starts to write a checkpoint, after the one before. Its arrays belong to the Worker from then on.
   *
   * @throws {CheckpointError} when the one before could not be written.
   */
  async save(directory: string, contents: CheckpointContents): Promise<void> {
    await this.settled();
    this.#last = this.#write({ directory, contents }).then(
      (saved) => this.onSaved(saved, contents.trainer.step),
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

  #write(request: SaveRequest): Promise<Saved> {
    const worker = this.#worker ??= new Worker(new URL("./save_worker.ts", import.meta.url), {
      type: "module",
    });
    const { promise, resolve, reject } = Promise.withResolvers<Saved>();
    worker.onmessage = ({ data }: MessageEvent<SaveReply>) =>
      "problem" in data ? reject(new CheckpointError(data.path, data.problem)) : resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new CheckpointError(request.directory, event.message));
    };
    const { parameters, optimizer } = request.contents;
    const buffers = new Set([...parameters, ...optimizer].map(({ data }) => data.buffer));
    worker.postMessage(request, [...buffers].filter((buffer) => buffer instanceof ArrayBuffer));
    return promise;
  }
}
