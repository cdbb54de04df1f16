/**
 * Turns on one GPU for threads that have a device each, by start-time fair queueing (Goyal, Vin, Cheng, 1996): each party
 * has a virtual time, the milliseconds that it has used divided by its share, and of those that want the GPU the one with
 * the smallest has it. Who comes back from idleness starts at the time of the others, so nobody saves up credit. A turn
 * lasts at least a quantum, and for ever when nobody else wants the GPU.
 *
 * A turn is meant to be given up only when the holder's own queue is empty; `model/pipeline.ts` does that. Two parties at
 * once, after one that hangs was passed over, are slow and not wrong.
 *
 * The buffer is shared memory of 64-bit integers, changed by atomic operations; one word names the holder and is only
 * changed from a known value, so no order of events gives two threads the same turn.
 *
 * @module
 */

/** Who takes turns in this project; each is an index into the shares. */
export const TURN_PARTIES = { training: 0, generation: 1 } as const;

/** Shortest turn while others wait, in milliseconds: long against what a change of turns costs, short for a reader. */
export const QUANTUM_MS = 50;
/** A thread that gives no sign for so long is taken for dead and passed over, in milliseconds. */
const PATIENCE_MS = 60_000;
/** Longest sleep of one that waits, in milliseconds: it shows then that it lives, and looks again. */
const SLICE_MS = 1000;

const FREE = 0n;
/** Words before those of the parties. */
const HOLDER = 0, CHANGES = 1, CLOCK = 2, HEAD = 3;
/** Words of a party: thousandths of its share, whether it waits, its virtual time, when it was last seen. */
const SHARE = 0, WANTS = 1, USED = 2, SEEN = 3, WORDS = 4;

/** How one party asks for the GPU and gives it back. Belongs to a Worker: {@link begin} blocks its thread. */
export class GpuTurns {
  readonly #cells: BigInt64Array<SharedArrayBuffer>;
  readonly #me: bigint;
  readonly #patienceMs: number;
  /** When the turn began, or was last charged, on this thread's clock. */
  #since?: number;
  #begun = 0;
  #ended = -Infinity;

  /**
   * Becomes a party.
   *
   * @param buffer Made by {@link create}.
   * @param party Index into the shares; one thread at a time may be a party.
   */
  constructor(
    buffer: SharedArrayBuffer,
    private readonly party: number,
    { quantumMs = QUANTUM_MS, patienceMs = PATIENCE_MS }: {
      readonly quantumMs?: number;
      readonly patienceMs?: number;
    } = {},
  ) {
    this.#cells = new BigInt64Array(buffer);
    if (!(Number.isInteger(party) && party >= 0 && party < partiesOf(this.#cells))) {
      throw new RangeError(`party ${party} of ${partiesOf(this.#cells)}`);
    }
    this.#me = holderOf(party);
    this.quantumMs = quantumMs;
    this.#patienceMs = patienceMs;
  }

  /** Shortest turn while others wait, in milliseconds. */
  readonly quantumMs: number;

  /**
   * The memory that parties share.
   *
   * @param shares What each party gets of a GPU that all want, in proportion to the others: [1, 3] is a quarter and three.
   * @throws {RangeError} for a share that is not from 0.001 to 1000.
   */
  static create(shares: readonly number[]): SharedArrayBuffer {
    const bad = shares.find((share) => !(share >= 0.001 && share <= 1000));
    if (bad !== undefined) throw new RangeError(`a share of ${bad} is not from 0.001 to 1000`);
    const buffer = new SharedArrayBuffer(8 * (HEAD + WORDS * shares.length));
    const cells = new BigInt64Array(buffer);
    shares.forEach((share, party) => cells[at(party, SHARE)] = BigInt(Math.round(share * 1000)));
    return buffer;
  }

  /**
   * Takes the turn from a party whose thread has ended, and its wish for one. Any thread may call it; nothing happens when
   * the party has neither.
   */
  static release(buffer: SharedArrayBuffer, party: number): void {
    const cells = new BigInt64Array(buffer);
    Atomics.store(cells, at(party, WANTS), 0n);
    Atomics.compareExchange(cells, HOLDER, holderOf(party), FREE);
    announce(cells);
  }

  /** True between {@link begin} and {@link end}, unless the turn was taken away. */
  get isHeld(): boolean {
    return this.#since !== undefined && Atomics.load(this.#cells, HOLDER) === this.#me;
  }

  /** True when another party waits. Cheap enough to ask at every submission; also charges the turn for its time. */
  get isContended(): boolean {
    this.#charge();
    return this.#rivals().length > 0;
  }

  /** True when the turn should end as soon as the queue is empty: it has had its quantum, and another's time is smaller. */
  get isOver(): boolean {
    this.#charge();
    if (this.#since !== undefined && !this.isHeld) return true;
    if (performance.now() - this.#begun < this.quantumMs) return false;
    const mine = this.#get(USED);
    return this.#rivals().some((party) => this.#get(USED, party) < mine);
  }

  /** Waits for the turn, blocking the thread; returns at once when it is held already. */
  begin(): void {
    if (this.#since !== undefined) return;
    const cells = this.#cells;
    // Who sleeps for a moment between two turns is not idle and keeps what it has saved.
    if (performance.now() - this.#ended > this.quantumMs) this.#set(USED, this.#atLeastClock());
    this.#noteSeen();
    this.#set(WANTS, 1n);
    for (;;) {
      const changes = Atomics.load(cells, CHANGES);
      if (this.#take()) break;
      Atomics.wait(cells, CHANGES, changes, SLICE_MS);
      this.#noteSeen();
    }
    this.#set(WANTS, 0n);
    this.#since = this.#begun = performance.now();
  }

  /** Gives the turn back; nothing happens when it is not held. */
  end(): void {
    if (this.#since === undefined) return;
    this.#charge();
    this.#since = undefined;
    this.#ended = performance.now();
    Atomics.compareExchange(this.#cells, HOLDER, this.#me, FREE);
    announce(this.#cells);
  }

  /** Takes the turn if it is free, or its holder is dead, and nobody who waits comes before. */
  #take(): boolean {
    const holder = Atomics.load(this.#cells, HOLDER);
    if (holder !== FREE && this.#isAlive(Number(holder) - 1)) return false;
    const mine = this.#get(USED);
    const isFirst = this.#rivals().every((party) => {
      const theirs = this.#get(USED, party);
      return mine < theirs || (mine === theirs && this.party < party);
    });
    return isFirst && Atomics.compareExchange(this.#cells, HOLDER, holder, this.#me) === holder;
  }

  /** Adds the time since the last charge to this party's virtual time, and moves the common clock along. */
  #charge(): void {
    if (this.#since === undefined) return;
    const now = performance.now();
    const microseconds = Math.round((now - this.#since) * 1000);
    if (microseconds > 0) {
      this.#since += microseconds / 1000;
      const used = BigInt(microseconds) * 1000n / this.#get(SHARE);
      this.#set(USED, this.#get(USED) + used);
      Atomics.store(this.#cells, CLOCK, this.#atLeastClock());
    }
    this.#noteSeen();
  }

  /** This party's virtual time, or the clock if that is later. */
  #atLeastClock(): bigint {
    const [mine, clock] = [this.#get(USED), Atomics.load(this.#cells, CLOCK)];
    return mine > clock ? mine : clock;
  }

  /** The others that wait and live. */
  #rivals(): number[] {
    const rivals: number[] = [];
    for (let party = 0; party < partiesOf(this.#cells); party++) {
      if (party !== this.party && this.#get(WANTS, party) === 1n && this.#isAlive(party)) rivals.push(party);
    }
    return rivals;
  }

  #isAlive(party: number): boolean {
    return Date.now() - Number(this.#get(SEEN, party)) < this.#patienceMs;
  }

  #noteSeen(): void {
    this.#set(SEEN, BigInt(Date.now()));
  }

  #get(word: number, party = this.party): bigint {
    return Atomics.load(this.#cells, at(party, word));
  }

  #set(word: number, value: bigint): void {
    Atomics.store(this.#cells, at(this.party, word), value);
  }
}

function at(party: number, word: number): number {
  return HEAD + WORDS * party + word;
}

function holderOf(party: number): bigint {
  return BigInt(party + 1);
}

function partiesOf(cells: BigInt64Array<SharedArrayBuffer>): number {
  return (cells.length - HEAD) / WORDS;
}

/** Wakes all that wait: each looks whether the turn is its own. */
function announce(cells: BigInt64Array<SharedArrayBuffer>): void {
  Atomics.add(cells, CHANGES, 1n);
  Atomics.notify(cells, CHANGES);
}
