/**
 * The programs of cached generation on a device, loaded as they are needed: pieces of prompts, steps of few or many
 * sequences, and draws with as much machinery as the requests at hand ask for. It submits what it is told to and keeps no
 * account of sequences; that is the batcher's.
 *
 * @module
 */
import { type Compilation, compileGraph, type Graph, type Program } from "../compiler/mod.ts";
import type { GpuDevice, LoadedProgram, Readback, StateStore } from "../runtime/mod.ts";
import { type ModelConfig, paddedVocabulary } from "./config.ts";
import { cacheElements, cacheNames, traceDecode, tracePrefill } from "./decode_programs.ts";
import {
  type DrawFeatures,
  DRAWN_STATES,
  type DrawnStates,
  NO_FEATURES,
  RING_TICKS,
  traceDraw,
} from "./draw_program.ts";
import type { Sampling } from "./generation.ts";
import type { Precision } from "./precision.ts";
import type { ModeName } from "./run_options.ts";
import type { Tuning } from "./tuning.ts";

/** Steps of so many sequences have programs; others take the next larger one. */
const STEP_SIZES = [1, 8, 32, 128];
/** Tokens of a piece of a prompt; the last piece of a prompt takes the smallest that holds it. */
const PIECE_SIZES = [16, 64, 256];

/** A sequence in a step. */
export interface StepRow {
  /** Its slot. */
  readonly slot: number;
  /** Row of the cache for the token that it feeds. */
  readonly position: number;
  readonly sampling: Sampling;
  /** Of the draw; see `random_keys.ts`. */
  readonly key: number;
  /** The token that follows, where it is known; otherwise it is drawn. */
  readonly forced?: number;
}

/** A piece of a prompt. */
export interface Piece {
  readonly slot: number;
  /** Position of the first token. */
  readonly start: number;
  /** At most {@link Decoder.largestPiece}. */
  readonly tokens: readonly number[];
}

/** A step of so many sequences, and what their draws ask for. */
export interface StepNeed {
  readonly kind: "step";
  readonly sequences: number;
  readonly features: DrawFeatures;
}

/** Some program, by what it is for. */
export type ProgramNeed = StepNeed | { readonly kind: "prefill"; readonly tokens: number };

/** What was drawn, tick by tick, row by row. */
export interface Drawn {
  /** Token of a row at a tick. */
  token(tick: number, row: number): number;
  /** Its log-probability; only where {@link DrawFeatures.logprobs}. */
  logprob(tick: number, row: number): number;
  /** The likeliest tokens and their log-probabilities, likeliest first; likewise. */
  top(tick: number, row: number, count: number): { token: number; logprob: number }[];
}

/** How to make a decoder. */
export interface DecoderOptions {
  /** Sequences that it has room for. */
  readonly slots: number;
  readonly mode?: ModeName;
  /** Dtype of the parameters in memory; f32 by default. */
  readonly dtype?: Precision;
  /** Which schedules the kernels get; the templates' own by default. */
  readonly tuning?: Tuning;
  /** Programs that were compiled for decoders of the same model before; what is compiled joins them. */
  readonly compiled?: Map<string, Program>;
  /** Is given every program that is compiled. */
  readonly onCompiled?: (compilation: Compilation) => void;
}

/** Programs and cache of one model. */
export class Decoder {
  readonly slots: number;
  readonly #programs = new Map<string, LoadedProgram>();
  readonly #sizes: readonly number[];
  readonly #pieces: readonly number[];

  /**
   * @param states Holds the parameters, and will hold the cache.
   */
  constructor(
    readonly device: GpuDevice,
    readonly states: StateStore,
    readonly config: ModelConfig,
    readonly options: DecoderOptions,
  ) {
    const { slots } = options;
    this.slots = slots;
    this.#sizes = [...STEP_SIZES.filter((size) => size < slots), slots];
    this.#pieces = [...PIECE_SIZES.filter((size) => size < config.context), config.context].slice(
      0,
      PIECE_SIZES.length,
    );
  }

  /** Most tokens of one piece. */
  get largestPiece(): number {
    return this.#pieces.at(-1)!;
  }

  /** Bytes of keys and values for one sequence. */
  static slotBytes(config: ModelConfig): number {
    return 2 * config.layers * cacheElements(config, { slots: 1 }) * 4;
  }

  /**
   * As many slots as are wanted, or as few as a device and a budget of bytes have room for; at least 1.
   *
   * @param budgetBytes Memory that caches may take.
   */
  static fittingSlots(device: GpuDevice, config: ModelConfig, wanted: number, budgetBytes: number): number {
    const layer = cacheElements(config, { slots: 1 }) * 4;
    const bound = Math.floor(device.capabilities.maxBindingBytes / layer);
    return Math.max(1, Math.min(wanted, bound, Math.floor(budgetBytes / Decoder.slotBytes(config))));
  }

  /** Bytes that parameters, cache and programs take. */
  get deviceBytes(): number {
    return [...this.#programs.values()].reduce((sum, { bytes }) => sum + bytes, this.states.bytes);
  }

  /** What requests are likely to ask for, sooner or later. */
  get likelyNeeds(): ProgramNeed[] {
    const prefills = this.#pieces.map((tokens) => ({ kind: "prefill", tokens } as const));
    const steps = [false, true].flatMap((topK) =>
      this.#sizes.map((
        sequences,
      ) => ({ kind: "step", sequences, features: { ...NO_FEATURES, topK } } as const))
    );
    return [...prefills, ...steps];
  }

  /** Programs of `needs` that have to be loaded before they can run. */
  missing(needs: readonly ProgramNeed[]): ProgramNeed[] {
    return needs.filter((need) => this.#names(need).some((name) => !this.#programs.has(name)));
  }

  /**
   * Compiles and loads programs; nothing else may be submitted meanwhile that needs them.
   *
   * @throws {LimitError} when the device has no room for them.
   */
  async load(needs: readonly ProgramNeed[]): Promise<void> {
    for (const need of needs) {
      for (const name of this.#names(need)) {
        if (!this.#programs.has(name)) this.#programs.set(name, await this.#load(need, name));
      }
    }
  }

  #names(need: ProgramNeed): string[] {
    if (need.kind === "prefill") return [`prefill_${this.#pieceSize(need.tokens)}`];
    const sequences = this.#stepSize(need.sequences);
    const features = Object.entries(need.features).filter(([, wanted]) => wanted).map(([name]) => `_${name}`);
    return [`decode_${sequences}`, `draw_${sequences}${features.sort().join("")}`];
  }

  async #load(need: ProgramNeed, name: string): Promise<LoadedProgram> {
    const { config, device, states, options: { compiled = new Map<string, Program>() } } = this;
    const program = compiled.get(name) ?? await this.#compile(need, name);
    compiled.set(name, program);
    const isFresh = !states.has(cacheNames(config)[0]);
    const loaded = await device.load(program, states);
    if (isFresh) { for (const cache of cacheNames(config)) if (states.has(cache)) states.clear(cache); }
    return loaded;
  }

  async #compile(need: ProgramNeed, name: string): Promise<Program> {
    const { device, options: { tuning, mode = "fused", onCompiled } } = this;
    const graph = this.#trace(need, name);
    if (!tuning) return compileGraph(graph, device.capabilities, { mode, name, onCompiled });
    return (await tuning.compile([{ graph, name, runs: 1 }]))[0];
  }

  #trace(need: ProgramNeed, name: string): Graph {
    const { config, slots, options: { dtype } } = this;
    if (need.kind === "prefill") {
      return tracePrefill(config, { slots, dtype, tokens: this.#pieceSize(need.tokens) });
    }
    const shape = { slots, dtype, sequences: this.#stepSize(need.sequences) };
    return name.startsWith("decode") ? traceDecode(config, shape) : traceDraw(config, shape, need.features);
  }

  #stepSize(sequences: number): number {
    return this.#sizes.find((size) => size >= sequences)!;
  }

  #pieceSize(tokens: number): number {
    return this.#pieces.find((size) => size >= tokens)!;
  }

  /** Submits a piece of a prompt: afterwards its rows are in the cache. */
  prefill({ slot, start, tokens }: Piece): void {
    const [name] = this.#names({ kind: "prefill", tokens: tokens.length });
    const padded = new Int32Array(this.#pieceSize(tokens.length));
    padded.set(tokens);
    this.#programs.get(name)!.run({
      batch: { tokens: padded },
      scalars: { slot, start, count: tokens.length },
    });
  }

  /** Sets the token that a slot feeds next. */
  setToken(slot: number, token: number): void {
    this.states.write("token", slot * 4, Int32Array.of(token));
  }

  /** Sets which tokens a slot's text has, for the repetition penalty. */
  setSeen(slot: number, tokens: Iterable<number>): void {
    const row = new Int32Array(paddedVocabulary(this.config));
    for (const token of tokens) row[token] = 1;
    this.states.write("seen", slot * row.byteLength, row);
  }

  /**
   * Submits one step: every row feeds its slot's token and draws the one after it, which becomes the slot's token.
   *
   * @param need Whose programs are used: loaded, and for at least so many sequences.
   * @param tick Where the draw is kept, below {@link RING_TICKS}.
   */
  step(rows: readonly StepRow[], need: StepNeed, tick: number): void {
    const { features } = need;
    const size = this.#stepSize(need.sequences);
    const [decode, draw] = this.#names(need)
      .map((name) => this.#programs.get(name)!);
    const column = <T extends Int32Array | Uint32Array | Float32Array>(
      column: T,
      idle: number,
      of: (row: StepRow) => number,
    ) => {
      column.fill(idle);
      rows.forEach((row, i) => column[i] = of(row));
      return column;
    };
    const whole = (idle: number, of: (row: StepRow) => number) => column(new Int32Array(size), idle, of);
    const real = (of: (row: StepRow) => number) => column(new Float32Array(size), 0, of);
    decode.run({ batch: { slot: whole(0, (row) => row.slot), position: whole(-1, (row) => row.position) } });
    const { vocabulary } = this.config;
    const batch = {
      slot: whole(-1, (row) => row.slot),
      forced: whole(-1, (row) => row.forced ?? -1),
      key: column(new Uint32Array(size), 0, (row) => row.key),
      temperature: real((row) => row.sampling.temperature),
      ...features.topK
        ? {
          topK: real((row) => row.sampling.topK === 0 ? vocabulary : Math.min(vocabulary, row.sampling.topK)),
        }
        : {},
      ...features.topP ? { topP: real((row) => row.sampling.topP) } : {},
      ...features.minP ? { minP: real((row) => row.sampling.minP) } : {},
      ...features.penalty
        ? { repetitionPenalty: column(new Float32Array(size), 1, (row) => row.sampling.repetitionPenalty) }
        : {},
    };
    draw.run({ batch, scalars: { tick } });
  }

  /** Reads what the first `ticks` ticks drew. */
  beginRead(features: DrawFeatures): Readback<Drawn> {
    const names = DRAWN_STATES.filter((name) => name === "drawn" || features.logprobs);
    return this.states.beginReadAll(names).map((values) => new DrawnValues(values, this.slots));
  }

  /** Frees programs, cache and parameters. */
  destroy(): void {
    for (const program of this.#programs.values()) program.destroy();
    this.states.destroy();
  }
}

class DrawnValues implements Drawn {
  readonly #tokens: Int32Array;
  readonly #logprobs?: Float32Array;
  readonly #topTokens?: Int32Array;
  readonly #topLogprobs?: Float32Array;

  constructor(values: ReadonlyMap<string, Uint8Array<ArrayBuffer>>, readonly slots: number) {
    const find = (name: DrawnStates) => values.get(name)?.buffer;
    this.#tokens = new Int32Array(find("drawn")!);
    const logprobs = find("drawn_logprob");
    if (!logprobs) return;
    this.#logprobs = new Float32Array(logprobs);
    this.#topTokens = new Int32Array(find("top_token")!);
    this.#topLogprobs = new Float32Array(find("top_logprob")!);
  }

  #place(tick: number, row: number): number {
    return tick * this.slots + row;
  }

  token(tick: number, row: number): number {
    return this.#tokens[this.#place(tick, row)];
  }

  logprob(tick: number, row: number): number {
    return this.#logprobs![this.#place(tick, row)];
  }

  top(tick: number, row: number, count: number): { token: number; logprob: number }[] {
    const width = this.#topTokens!.length / (RING_TICKS * this.slots);
    const first = this.#place(tick, row) * width;
    return Array.from({ length: count }, (_, i) => ({
      token: this.#topTokens![first + i],
      logprob: this.#topLogprobs![first + i],
    }));
  }
}
