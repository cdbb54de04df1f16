/**
 * Parties that take turns, in Workers that sleep instead of working.
 *
 * @module
 */
import type { PartyReport, PartyWork } from "./turns_worker.ts";

/** Turns of a party. */
export type Turns = PartyReport["turns"];

/** What a party does, as far as it matters. */
export type SomeWork = Pick<PartyWork, "buffer" | "party"> & Partial<PartyWork>;

/** A party in a Worker. */
export class Party implements Disposable {
  readonly #worker = new Worker(new URL("./turns_worker.ts", import.meta.url), { type: "module" });
  readonly #report = Promise.withResolvers<PartyReport>();
  readonly #holding = Promise.withResolvers<void>();

  /** Begins at once. */
  constructor(work: SomeWork) {
    this.#worker.onmessage = ({ data }: MessageEvent<PartyReport | "holding">) => {
      if (data === "holding") this.#holding.resolve();
      else this.#report.resolve(data);
    };
    this.#worker.onerror = ({ message }) => this.#report.reject(new Error(message));
    this.#worker.postMessage({ pieceMs: 2, thinkMs: 0, delayMs: 0, untilMs: 800, ...work });
  }

  /** What it did, once it has ended. */
  get report(): Promise<PartyReport> {
    return this.#report.promise;
  }

  /** Resolves when a party that never ends its turn has it. */
  get holding(): Promise<void> {
    return this.#holding.promise;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Runs parties at once and returns the turns of each. */
export async function turnsOf(...works: SomeWork[]): Promise<Turns[]> {
  const parties = works.map((work) => new Party(work));
  const reports = await Promise.all(parties.map(({ report }) => report));
  for (const party of parties) party[Symbol.dispose]();
  return reports.map(({ turns }) => turns);
}
