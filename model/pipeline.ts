/**
 * Keeps the device's queue filled. A readback in Deno returns only when the queue is empty and then sleeps 10 ms, and some
 * drivers block the thread at every submission until the one before is done. So at the moment when the queue is empty,
 * enough for those 10 ms is submitted and no more: while the device works on it, the thread sleeps, takes the values,
 * sends figures and hears messages. The rest follows afterwards.
 *
 * Where another thread wants the same GPU, that moment is also when the turn is given up (`runtime/turns.ts`), before the
 * thread sleeps; and the queue is emptied for it about once a quantum, if no readback does that.
 *
 * @module
 */
import { type GpuTurns, Readback } from "../runtime/mod.ts";

/**
 * Submits when it is asked to go on: one submission each time, and `undefined` for it; or the copies of a readback, and the
 * readback. After a readback it is asked to go on when the queue is empty: that is the time to stop a clock.
 */
export type Submissions = IterableIterator<Readback<void> | undefined, void>;

/** Work that keeps the device busy while the thread sleeps after a readback, in milliseconds. */
const AHEAD_MS = 25;
/** Shortest time that a submission is thought to take. */
const LEAST_MS = 0.1;

/** A GPU that other threads use as well. */
export interface SharedGpu {
  /** This thread's turns. */
  readonly turns: GpuTurns;
  /** Blocks the thread until the queue is empty, before it returns; what it returns may sleep. `GpuDevice` has it. */
  idle(): Promise<unknown>;
}

/** How to fill the queue. */
export interface PipelineOptions {
  /**
   * How many submissions keep the device busy while the thread sleeps, by the mean milliseconds of those since the
   * readback before.
   */
  readonly ahead?: (msEach: number) => number;
  /** Left out: the GPU is this thread's alone. */
  readonly shared?: SharedGpu;
}

/** Has everything submitted and all readbacks read, in their order. A turn that it takes is over when it returns. */
export async function runPipeline(submissions: Submissions, options: PipelineOptions = {}): Promise<void> {
  try {
    await new Pipeline(submissions, options).run();
  } finally {
    options.shared?.turns.end();
  }
}

class Pipeline {
  readonly #pending: Readback<void>[] = [];
  #isOver = false;
  /** Submissions since the queue was last empty, and when that was. */
  #submitted = 0;
  #since = performance.now();
  /** Mean time of a submission, as measured when the queue was last empty after one. */
  #msEach = Infinity;

  constructor(private readonly submissions: Submissions, private readonly options: PipelineOptions) {}

  async run(): Promise<void> {
    for (;;) {
      // What is copied already can be read in anybody's turn.
      if (!this.#pending[0]?.isCopied) this.#beginTurn();
      while (!this.#isOver && this.#pending.length === 0) {
        if (this.#isDue) this.#pending.push(this.#emptied());
        else this.#goOn();
      }
      const readback = this.#pending.shift();
      if (!readback) return;
      await readback.read(() => this.#fill());
    }
  }

  /** True when a submission was made, and no readback or end came instead. */
  #goOn(): boolean {
    const { done, value } = this.submissions.next();
    if (done) this.#isOver = true;
    if (value) this.#pending.push(value);
    else if (!done) this.#submitted++;
    return !done && !value;
  }

  /** The queue is empty: gives the turn up, or submits what keeps the device busy for a moment. */
  #fill(): void {
    const now = performance.now();
    // A readback that follows another at once says nothing about the time of a submission.
    if (this.#submitted > 0) this.#msEach = Math.max(LEAST_MS, (now - this.#since) / this.#submitted);
    [this.#since, this.#submitted] = [now, 0];
    const { ahead = (ms: number) => Math.ceil(AHEAD_MS / ms), shared } = this.options;
    if (shared?.turns.isOver) shared.turns.end();
    if (shared && !shared.turns.isHeld) return;
    let left = ahead(this.#msEach);
    // What is not copied yet must be read before anything changes it.
    while (
      left > 0 && this.#submitted < this.#most && !this.#isOver && this.#pending.at(-1)?.isCopied !== false
    ) {
      if (this.#goOn()) left--;
    }
  }

  #beginTurn(): void {
    const { turns } = this.options.shared ?? {};
    if (!turns || turns.isHeld) return;
    turns.end(); // one that was taken away
    turns.begin();
    this.#since = performance.now();
  }

  /** Submissions that the queue may hold: a quantum's worth while others wait. */
  get #most(): number {
    const { turns } = this.options.shared ?? {};
    if (!turns?.isContended) return Infinity;
    return Math.max(1, Math.floor(turns.quantumMs / this.#msEach));
  }

  /** True when the queue should be emptied for others. */
  get #isDue(): boolean {
    const { turns } = this.options.shared ?? {};
    return turns !== undefined && this.#submitted > 0 && (turns.isOver || this.#submitted >= this.#most);
  }

  /** A readback of nothing. */
  #emptied(): Readback<void> {
    return new Readback(true, async (whenIdle) => {
      const slept = this.options.shared!.idle();
      whenIdle();
      await slept;
    });
  }
}
