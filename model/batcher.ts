/**
 * Continuous batching: requests join and leave a running batch between steps. Sequences have slots of a cache; steps feed
 * every sequence's newest token and draw the next on the device, many steps between two readbacks. A sequence that needs
 * more than a step (its prompt, or a window that has moved) is filled in between.
 *
 * The host learns what was drawn a chunk of steps later, so a sequence that a stop text ends runs on for at most one chunk;
 * what it draws then is dropped. Nothing that a request gets depends on who shares the batch.
 *
 * @module
 */
import type { Tokenizer } from "../data/mod.ts";
import { Readback } from "../runtime/mod.ts";
import type { Decoder, Drawn, ProgramNeed, StepNeed } from "./decoder.ts";
import { type DrawFeatures, RING_TICKS } from "./draw_program.ts";
import type { GenerationEvent, GenerationFailure, GenerationRequest } from "./generation.ts";
import type { Submissions } from "./pipeline.ts";
import { Sequence } from "./sequences.ts";

/** Time between two readbacks that nobody minds, in milliseconds: text appears as if it flowed. */
const CHUNK_MS = 40;

/** How many may come. */
export interface BatcherLimits {
  /** Sequences that may wait for a slot. */
  readonly maxWaiting: number;
  /** Tokens of a prompt. */
  readonly maxPromptTokens: number;
}

/** How busy it is. */
export interface BatcherLoad {
  /** Sequences with a slot. */
  readonly running: number;
  readonly slots: number;
  /** Sequences without. */
  readonly waiting: number;
  /** Since the start. */
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Milliseconds of a step, lately. */
  readonly msPerStep: number;
}

/** A request under way. */
interface Ticket {
  readonly request: GenerationRequest;
  readonly emit: (event: GenerationEvent) => void;
  readonly sequences: readonly Sequence[];
  readonly arrived: number;
  readonly promptTokens: number;
  firstTokenMs?: number;
  left: number;
}

/** Which sequence had which row, step by step. */
type Chunk = readonly (readonly Sequence[])[];

/** Answers requests with one model. */
export class Batcher {
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  readonly #tickets = new Map<Sequence, Ticket>();
  readonly #freeSlots: number[];
  #promptTokens = 0;
  #completionTokens = 0;
  #msPerStep = CHUNK_MS;
  #wake = Promise.withResolvers<void>();

  constructor(
    readonly decoder: Decoder,
    readonly tokenizer: Tokenizer,
    readonly limits: BatcherLimits,
  ) {
    this.#freeSlots = Array.from({ length: decoder.slots }, (_, i) => decoder.slots - 1 - i);
  }

  /** How busy it is. */
  get load(): BatcherLoad {
    return {
      running: this.#running.length,
      slots: this.decoder.slots,
      waiting: this.#waiting.length,
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      msPerStep: this.#msPerStep,
    };
  }

  /** True while a request is not answered. */
  get isBusy(): boolean {
    return this.#tickets.size > 0;
  }

  /** Resolves when there is something to do. */
  get work(): Promise<void> {
    return this.isBusy ? Promise.resolve() : this.#wake.promise;
  }

  /**
   * Takes a request on; what becomes of it is told through `emit`, whose last event is `end` or `failure`.
   *
   * @returns Gives the request up: its places are free before the next step, and `emit` is not called again.
   */
  submit(request: GenerationRequest, emit: (event: GenerationEvent) => void): () => void {
    const refuse = (code: GenerationFailure, message: string) => {
      emit({ kind: "failure", code, message });
      return () => {};
    };
    const { vocabulary, context } = this.decoder.config;
    const { maxWaiting, maxPromptTokens } = this.limits;
    const { prompt: given, choices } = request;
    const prompt = typeof given === "string" ? Array.from(this.tokenizer.encode(given)) : [...given];
    const { endOfText } = this.tokenizer;
    if (prompt.length === 0 && endOfText !== undefined) prompt.push(endOfText);
    if (prompt.length === 0) return refuse("bad_request", "the prompt is empty: give at least one character");
    const outside = prompt.find((token) => !(Number.isInteger(token) && token >= 0 && token < vocabulary));
    if (outside !== undefined) {
      return refuse("bad_request", `token ${outside} is outside the vocabulary of ${vocabulary}`);
    }
    if (prompt.length > maxPromptTokens) {
      return refuse(
        "prompt_too_long",
        `the prompt has ${prompt.length} tokens, the limit is ${maxPromptTokens}: shorten it`,
      );
    }
    if (this.#waiting.length + choices > maxWaiting + this.#freeSlots.length) {
      return refuse("queue_full", `${this.#waiting.length} requests wait already: try again later`);
    }
    const sequences = Array.from(
      { length: choices },
      (_, choice) => new Sequence(request, choice, prompt, context, this.tokenizer),
    );
    const ticket: Ticket = {
      request,
      emit,
      sequences,
      arrived: performance.now(),
      promptTokens: prompt.length,
      left: choices,
    };
    this.#promptTokens += prompt.length;
    for (const sequence of sequences) this.#tickets.set(sequence, ticket);
    this.#waiting.push(...sequences);
    this.#wake.resolve();
    return () => this.#cancel(ticket);
  }

  /** Ends all requests with a failure. */
  fail(code: GenerationFailure, message: string): void {
    for (const ticket of new Set(this.#tickets.values())) {
      this.#cancel(ticket);
      ticket.emit({ kind: "failure", code, message });
    }
  }

  #cancel({ sequences }: Ticket): void {
    for (const sequence of sequences) {
      sequence.ended ??= "cancelled";
      this.#release(sequence);
      this.#tickets.delete(sequence);
    }
  }

  /** Gives up a sequence's place, in the cache or in the queue. */
  #release(sequence: Sequence): void {
    for (const list of [this.#waiting, this.#running]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    if (sequence.slot < 0) return;
    this.#freeSlots.push(sequence.slot);
    sequence.slot = -1;
  }

  /** What the device has to do until every request is answered, those included that come meanwhile. */
  *submissions(): Submissions {
    while (this.isBusy) {
      this.#admit();
      const features = featuresOf(this.#running);
      const step: StepNeed = { kind: "step", sequences: this.#running.length, features };
      const needs = [...this.#fillNeeds(), ...this.#running.length > 0 ? [step] : []];
      if (this.decoder.missing(needs).length > 0) {
        yield barrier(() => this.decoder.load(needs));
        continue;
      }
      yield* this.#fill();
      const chunk: Sequence[][] = [];
      const length = this.#chunkLength();
      const started = performance.now();
      while (chunk.length < length) {
        const rows = this.#ready();
        if (rows.length === 0) break;
        this.decoder.step(rows.map((sequence) => sequence.advance()), step, chunk.length);
        chunk.push(rows);
        for (const sequence of rows) if (sequence.standing.kind === "over") this.#release(sequence);
        yield;
      }
      // Everything waits for what is under way: let it be read before more is asked for.
      if (chunk.length === 0) yield barrier(() => Promise.resolve());
      else {
        yield this.decoder.beginRead(features).map((drawn) => this.#take(chunk, drawn, features));
        this.#msPerStep = Math.max(0.1, (performance.now() - started) / chunk.length);
      }
    }
    this.#wake = Promise.withResolvers();
  }

  /** Gives free slots to those that wait, first come, first served; ends what is out of time. */
  #admit(): void {
    const now = performance.now();
    for (const [sequence, { arrived, request: { deadlineMs = Infinity } }] of [...this.#tickets]) {
      if (sequence.ended === undefined && now - arrived > deadlineMs) sequence.ended = "deadline";
      if (sequence.ended !== undefined) this.#settle(sequence);
    }
    while (this.#freeSlots.length > 0 && this.#waiting.length > 0) {
      const sequence = this.#waiting.shift()!;
      sequence.slot = this.#freeSlots.pop()!;
      this.#running.push(sequence);
    }
  }

  #fillNeeds(): ProgramNeed[] {
    const { largestPiece } = this.decoder;
    return this.#running.flatMap(({ standing }) =>
      standing.kind === "fill"
        ? pieces(standing.start, standing.end, largestPiece)
          .map(({ start, end }) => ({ kind: "prefill", tokens: end - start } as const))
        : []
    );
  }

  /** Fills the cache of those sequences that need it. */
  *#fill(): Submissions {
    for (const sequence of [...this.#running]) {
      const { slot, standing, tokens } = sequence;
      if (standing.kind !== "fill") continue;
      for (const { start, end } of pieces(standing.start, standing.end, this.decoder.largestPiece)) {
        if (sequence.slot !== slot) return; // given up meanwhile
        this.decoder.prefill({ slot, start: start - standing.start, tokens: tokens.slice(start, end) });
        yield;
      }
      if (sequence.slot !== slot) return;
      this.decoder.setToken(slot, tokens[standing.end]);
      if (sequence.request.sampling.repetitionPenalty !== 1) this.decoder.setSeen(slot, tokens);
      sequence.noteFilled(standing);
    }
  }

  #ready(): Sequence[] {
    return this.#running.filter(({ standing }) => standing.kind === "ready");
  }

  /** Who has just come should not wait for a long chunk to see the first token. */
  #chunkLength(): number {
    if (this.#running.some(({ isFresh, pending }) => isFresh && pending === 0)) return 1;
    return Math.max(1, Math.min(RING_TICKS, Math.round(CHUNK_MS / this.#msPerStep)));
  }

  #take(chunk: Chunk, drawn: Drawn, { logprobs }: DrawFeatures): void {
    const touched = new Set<Sequence>();
    chunk.forEach((rows, tick) =>
      rows.forEach((sequence, row) => {
        const wanted = logprobs ? sequence.request.logprobs : undefined;
        sequence.receive({
          token: drawn.token(tick, row),
          ...wanted === undefined ? {} : {
            logprob: drawn.logprob(tick, row),
            top: drawn.top(tick, row, wanted),
          },
        });
        touched.add(sequence);
      })
    );
    for (const sequence of touched) this.#settle(sequence);
  }

  /** Sends what a sequence has to say, and forgets it when that was all. */
  #settle(sequence: Sequence): void {
    const ticket = this.#tickets.get(sequence);
    if (!ticket) return;
    const { emit, arrived, promptTokens, sequences } = ticket;
    const { choice } = sequence;
    if (!sequence.isFresh) ticket.firstTokenMs ??= performance.now() - arrived;
    const { text, tokens } = sequence.take();
    if (text !== "" || tokens.length > 0) emit({ kind: "text", choice, text, tokens });
    if (sequence.ended === undefined || sequence.ended === "cancelled") return;
    emit({ kind: "finish", choice, reason: sequence.ended });
    this.#release(sequence);
    this.#tickets.delete(sequence);
    this.#completionTokens += sequence.completionTokens;
    if (--ticket.left > 0) return;
    const completionTokens = sequences.reduce((sum, other) => sum + other.completionTokens, 0);
    const firstTokenMs = ticket.firstTokenMs ?? performance.now() - arrived;
    emit({ kind: "end", promptTokens, completionTokens, firstTokenMs });
  }
}

/** What the draws of these sequences need. */
function featuresOf(sequences: readonly Sequence[]): DrawFeatures {
  const some = (test: (request: GenerationRequest) => boolean) =>
    sequences.some(({ request }) => test(request));
  return {
    topK: some(({ sampling }) => sampling.topK > 0),
    topP: some(({ sampling }) => sampling.topP < 1),
    minP: some(({ sampling }) => sampling.minP > 0),
    penalty: some(({ sampling }) => sampling.repetitionPenalty !== 1),
    logprobs: some((request) => request.logprobs !== undefined),
  };
}

/** Cuts a range into pieces of at most `most`. */
function pieces(start: number, end: number, most: number): { start: number; end: number }[] {
  const count = Math.ceil((end - start) / most);
  return Array.from({ length: count }, (_, i) => {
    const from = start + i * most;
    return { start: from, end: Math.min(end, from + most) };
  });
}

/** Waits for everything before it, then for `work`, before anything else is submitted. */
function barrier(work: () => Promise<void>): Readback<void> {
  return new Readback(false, async (whenIdle) => {
    await work();
    whenIdle();
  });
}
