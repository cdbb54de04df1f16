/**
 * Text from a model: tokens are drawn and stored on the device, and read several at a time, because a readback costs
 * more than ten milliseconds.
 *
 * @module
 */
import { compileGraph } from "../compiler/mod.ts";
import type { GpuDevice, LoadedProgram, StateStore } from "../runtime/mod.ts";
import type { ModelConfig } from "./config.ts";
import { runPipeline, type Submissions } from "./pipeline.ts";
import { type SampleShape, traceSample } from "./programs.ts";
import { randomKey } from "./random_keys.ts";
import type { ModeName } from "./run_options.ts";
import type { Tuning } from "./tuning.ts";
import { windowStart } from "./window.ts";

/** How tokens are drawn. */
export interface SamplingOptions {
  /** 0 takes the likeliest token; higher is bolder. */
  readonly temperature: number;
  /** Only this many of the likeliest tokens can be drawn. */
  readonly topK: number;
  readonly seed: number;
}

/** Time between two readbacks that a reader does not mind, in milliseconds. */
const CHUNK_MS = 250;

/** Draws tokens from the parameters in a {@link StateStore}. */
export class Generator {
  private constructor(
    private readonly states: StateStore,
    private readonly config: ModelConfig,
    private readonly shape: SampleShape,
    private readonly program: LoadedProgram,
  ) {}

  /**
   * Compiles and loads the program.
   *
   * @param capacity Tokens of prompt and result together, at most.
   * @param tuning Which schedules the kernels get; the templates' own by default.
   * @param onCompiled Is given the program when there is no tuning, which has its own.
   */
  static async load(
    device: GpuDevice,
    states: StateStore,
    config: ModelConfig,
    { capacity, mode, tuning, onCompiled }: {
      readonly capacity: number;
      readonly mode: ModeName;
      readonly tuning?: Tuning;
      readonly onCompiled?: Tuning["onCompiled"];
    },
  ): Promise<Generator> {
    // The model recomputes its whole window for each token, so the window is no longer than the text can get.
    const history = Math.ceil(capacity / 64) * 64;
    const shape = { history, window: Math.min(config.context, history) };
    const graph = traceSample(config, shape);
    const [compiled] = tuning
      ? await tuning.compile([{ graph, name: "sample", runs: 1 }])
      : [compileGraph(graph, device.capabilities, { mode, name: "sample", onCompiled })];
    return new Generator(states, config, shape, await device.load(compiled, states));
  }

  /**
   * Continues `prompt` by `count` tokens. A text longer than the model's context is seen through a window that moves, see `window.ts`.
   *
   * @param onTokens Called with new tokens as they come.
   * @throws {RangeError} when the prompt is empty, does not fit with `count`, or has a token outside the vocabulary.
   */
  async generate(
    prompt: readonly number[] | Int32Array | Uint16Array,
    count: number,
    { temperature, topK, seed }: SamplingOptions,
    onTokens: (tokens: Int32Array) => void = () => {},
  ): Promise<Int32Array> {
    const tokens = new Int32Array(count);
    let at = 0;
    const take = (drawn: Int32Array) => {
      tokens.set(drawn, at);
      at += drawn.length;
      onTokens(drawn);
    };
    await runPipeline(this.submissions(prompt, count, { temperature, topK, seed }, take));
    return tokens;
  }

  /** As {@link generate}, for a pipeline that has other work as well. */
  *submissions(
    prompt: readonly number[] | Int32Array | Uint16Array,
    count: number,
    { temperature, topK, seed }: SamplingOptions,
    onTokens: (tokens: Int32Array) => void,
  ): Submissions {
    const { history, window } = this.shape;
    const { vocabulary } = this.config;
    if (prompt.length === 0) throw new RangeError("the prompt is empty");
    if (prompt.length + count > history) {
      throw new RangeError(`a prompt of ${prompt.length} and ${count} more tokens exceed ${history}`);
    }
    const outside = prompt.find((token) => !(token >= 0 && token < vocabulary));
    if (outside !== undefined) throw new RangeError(`token ${outside} is outside the vocabulary`);

    const tokens = new Int32Array(history);
    tokens.set(prompt);
    this.states.write("history", 0, tokens);
    const end = prompt.length + count;
    for (let next = prompt.length, chunk = 1; next < end;) {
      const first = next;
      const started = performance.now();
      for (const stop = Math.min(end, first + chunk); next < stop; next++) {
        const position = next - 1;
        this.program.run({
          scalars: {
            start: windowStart(position, window),
            position,
            temperature,
            topK: Math.min(topK, vocabulary),
            key: randomKey(seed, "tokens", position),
          },
        });
        yield;
      }
      const readback = this.states.beginRead("history", first * 4, (next - first) * 4);
      yield readback.map((bytes) => onTokens(new Int32Array(bytes.buffer)));
      const rate = (next - first) / (performance.now() - started);
      chunk = Math.min(64, Math.max(1, Math.round(CHUNK_MS * rate)));
    }
  }
}
