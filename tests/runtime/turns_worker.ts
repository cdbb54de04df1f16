/**
 * A party that works by sleeping, for the tests of turns. Told how long pieces of work are and how long it thinks between
 * them, it takes turns until it is told the time at which to end, and reports what it did.
 *
 * @module
 */
import { GpuTurns } from "../../runtime/turns.ts";

/** What a party does. */
export interface PartyWork {
  readonly buffer: SharedArrayBuffer;
  readonly party: number;
  /** Milliseconds of a piece of work; whether to go on is asked after each. */
  readonly pieceMs: number;
  /** Milliseconds away from the GPU after each turn. */
  readonly thinkMs: number;
  /** Milliseconds before it begins. */
  readonly delayMs: number;
  /** Milliseconds until it ends; a party that never ends its turn sleeps in it. */
  readonly untilMs: number;
  readonly neverEnds?: boolean;
  readonly patienceMs?: number;
}

/** What a party did, by `Date.now()`. */
export interface PartyReport {
  /** Its turns, from and to. */
  readonly turns: readonly (readonly [from: number, to: number])[];
}

interface WorkerScope {
  onmessage: ((message: MessageEvent<PartyWork>) => void) | null;
  postMessage(report: PartyReport | "holding"): void;
}

const worker = self as unknown as WorkerScope;
const clock = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms: number) => Atomics.wait(clock, 0, 0, ms);

worker.onmessage = (
  { data: { buffer, party, pieceMs, thinkMs, delayMs, untilMs, neverEnds, patienceMs } },
) => {
  const turns = new GpuTurns(buffer, party, { quantumMs: 20, patienceMs });
  const end = Date.now() + untilMs;
  const taken: [number, number][] = [];
  sleep(delayMs);
  while (Date.now() < end) {
    turns.begin();
    const from = Date.now();
    if (neverEnds) {
      worker.postMessage("holding");
      sleep(end - from);
    }
    do sleep(pieceMs); while (!turns.isOver && Date.now() < end);
    taken.push([from, Date.now()]);
    turns.end();
    if (thinkMs > 0) sleep(thinkMs);
  }
  worker.postMessage({ turns: taken });
};
