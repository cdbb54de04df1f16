/**
 * The near side of a training run: starts the Worker that owns the GPU and passes its events on. The thread that
 * calls it never waits for the GPU, so a terminal stays alive and a server answers while a run goes on.
 *
 * @module
 */
import { stripAnsiCode } from "@std/fmt/colors";
import { GpuTurns, TURN_PARTIES } from "../runtime/mod.ts";
import type { TrainerAsk, TrainerCommand, TrainerEvent } from "./messages.ts";
import type { TrainRequest } from "./run_options.ts";

/** An event after which a run sends no more. */
export type FinalEvent = Extract<TrainerEvent, { kind: "end" | "failure" }>;

/**
 * One training run in a Worker of its own.
 *
 * @example
 * ```ts
 * import { TrainerClient } from "@sinter/sinter/model";
 * const client = new TrainerClient((event) => console.log(event.kind));
 * const small = { preset: "nano", layers: 1, width: 16, heads: 1, context: 16, steps: 2 } as const;
 * client.start({ out: await Deno.makeTempDir(), ...small, evalEvery: 0, sampleEvery: 0, record: false });
 * console.log((await client.finished).kind); // end
 * ```
 */
export class TrainerClient {
  readonly #worker: Worker;
  readonly #finished = Promise.withResolvers<FinalEvent>();
  #over = false;
  #turns?: SharedArrayBuffer;
  #profiled = false;

  /** Starts the Worker; `onEvent` is called with every event of the run, the last one included. */
  constructor(private readonly onEvent: (event: TrainerEvent) => void) {
    this.#worker = new Worker(new URL("./train_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<TrainerEvent>) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      // The Worker is gone, and its device with it: another one can go on.
      const message = stripAnsiCode(event.message).replace(/\s*\n\s*/g, " ");
      this.#releaseTurn();
      this.#receive({ kind: "failure", message, badInput: false, reason: "device-lost" });
    };
  }

  /** The event that ended the run. Never rejects. */
  get finished(): Promise<FinalEvent> {
    return this.#finished.promise;
  }

  /**
   * Starts the run.
   *
   * @param turns Where device threads take turns; left out: the run has the device to itself.
   */
  start(request: TrainRequest, turns?: SharedArrayBuffer): void {
    this.#profiled = request.profile !== undefined;
    this.#turns = turns;
    this.#send({ kind: "start", request, ...turns && { turns } });
  }

  /** Asks the run to finish its step, save unless `save` is false, and end; an `end` event follows. */
  stop(save = true): void {
    this.#send({ kind: "stop", save });
  }

  /** Asks for something between steps; a `reply` event follows unless the run ends first. */
  ask(question: TrainerAsk): void {
    this.#send(question);
  }

  /**
   * Ends the Worker at once, whatever it does; nothing is saved, and a checkpoint that was being written is never half
   * visible. After the last event it frees the Worker's memory. A process that is about to end should leave that out:
   * a driver that is taken down while the process exits may crash it (seen with lavapipe, one exit in forty).
   */
  terminate(): void {
    this.#over = true;
    this.#worker.terminate();
    this.#releaseTurn();
  }

  /** A Worker that is gone cannot give its turn back itself. */
  #releaseTurn(): void {
    if (this.#turns) GpuTurns.release(this.#turns, TURN_PARTIES.training);
  }

  #send(command: TrainerCommand): void {
    if (!this.#over) this.#worker.postMessage(command);
  }

  #sendSpan(name: string, start: number): void {
    const [from, to] = [start, performance.now()].map((time) => performance.timeOrigin + time);
    const span = { name, category: "host", start: from, end: to, thread: "main thread" };
    this.#send({ kind: "span", span });
  }

  #receive(event: TrainerEvent): void {
    if (this.#over) return;
    const start = performance.now();
    this.onEvent(event);
    if (this.#profiled) this.#sendSpan(`show ${event.kind}`, start);
    if (event.kind === "end" || event.kind === "failure") this.#finished.resolve(event);
  }
}
