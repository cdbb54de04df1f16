/**
 * What the server needs of those that do the work, besides their services: when generation is up, what happens to jobs,
 * and how to end.
 *
 * @module
 */
import type { ServeOptions } from "./options.ts";
import type { JobEvent, Services } from "./services.ts";

/** Whom a backend tells what happens. */
export interface BackendListener {
  /** Generation is up, or its device is lost and being replaced. */
  onUp(isUp: boolean): void;
  /** Something happened to a job. */
  onJobEvent(event: JobEvent): void;
  /** Something that an operator should know. */
  onNote(message: string): void;
  /** Something that failed inside, and that the server survives. */
  onProblem(problem: unknown): void;
}

/** Everything behind HTTP. */
export interface Backend {
  readonly services: Services;
  /** What generation runs on, in words; resolves once that is known. Never rejects. */
  readonly adapter: Promise<string>;
  /** Has the running job save and gives the device up; streams of events end. */
  closeTraining(): Promise<void>;
  /** Refuses what comes, lets what is under way finish for so long, and gives the device up. */
  closeGeneration(timeoutMs: number): Promise<void>;
}

/** Opens a backend. */
export type OpenBackend = (options: ServeOptions, listener: BackendListener) => Promise<Backend>;
