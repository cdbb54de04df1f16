/**
 * A probe on a device: it is loaded once for a prompt, and looks at whatever parameters lie there. In a training run those are the
 * run's own; elsewhere weights are exchanged between two looks.
 *
 * @module
 */
import { compileGraph } from "../../compiler/mod.ts";
import type { GpuDevice, LoadedProgram, StateStore } from "../../runtime/mod.ts";
import { BYTE_VOCABULARY, type ModelConfig } from "../config.ts";
import { Generator } from "../generator.ts";
import { layoutParameters } from "../params.ts";
import { runPipeline, type Submissions } from "../pipeline.ts";
import type { ModeName } from "../run_options.ts";
import type { Tuning } from "../tuning.ts";
import { type Observation, packAttention, SCORES } from "./observation.ts";
import { type ProbeShape, probeShape, probeStates, traceProbe, usedSize } from "./probe_program.ts";
import { promptScores } from "./scores.ts";

/** How the text that follows the prompt is drawn; the same numbers at each step, so that texts can be compared. */
export interface ProbeSample {
  /** Tokens; 0 for no text. */
  readonly tokens: number;
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  readonly seed: number;
}

/** How a probe is loaded. */
export interface ProbeOptions {
  /** Tokens whose attention is looked at: at least one, at most the model's context. */
  readonly prompt: ArrayLike<number>;
  readonly sample: ProbeSample;
  /** Parameters that are copied, by name. */
  readonly tensors?: readonly string[];
  readonly mode?: ModeName;
  /** One that draws from the same states already, with room for prompt and sample; left out: one is loaded. */
  readonly generator?: Generator;
  /** Is given every program that is compiled. */
  readonly onCompiled?: Tuning["onCompiled"];
}

/** Only so many of the likeliest tokens are drawn. */
const SAMPLE_TOP_K = 50;

/** Looks at the parameters in a {@link StateStore}. */
export class Probe {
  readonly #inputs: { readonly tokens: Int32Array; readonly targets: Int32Array };

  private constructor(
    private readonly states: StateStore,
    private readonly config: ModelConfig,
    private readonly shape: ProbeShape,
    private readonly options: ProbeOptions,
    private readonly program: LoadedProgram,
    private readonly generator?: Generator,
  ) {
    this.#inputs = probeInputs(config, shape, options.prompt);
  }

  /**
   * Compiles and loads what it needs.
   *
   * @throws {LimitError} when the device has no room for it.
   */
  static async load(
    device: GpuDevice,
    states: StateStore,
    config: ModelConfig,
    options: ProbeOptions,
  ): Promise<Probe> {
    const { prompt, sample, tensors, mode = "fused", onCompiled } = options;
    const shape = probeShape(config, prompt.length, tensors);
    const compiled = compileGraph(traceProbe(config, shape), device.capabilities, {
      mode,
      name: "probe",
      onCompiled,
    });
    const program = await device.load(compiled, states);
    const capacity = prompt.length + sample.tokens;
    const generator = sample.tokens === 0
      ? undefined
      : options.generator ?? await Generator.load(device, states, config, { capacity, mode, onCompiled });
    return new Probe(states, config, shape, options, program, generator);
  }

  /** Looks once. */
  async look(): Promise<Observation> {
    let seen: Observation | undefined;
    await runPipeline(this.submissions((observation) => void (seen = observation)));
    return seen!;
  }

  /**
   * As {@link look}, for a pipeline that has other work as well: between two steps of a run.
   *
   * @param onResult Called with what was seen; the pipeline waits for it.
   */
  *submissions(onResult: (observation: Observation) => void | Promise<void>): Submissions {
    const { options: { prompt, sample }, states } = this;
    const drawn: number[] = [];
    if (this.generator) {
      const options = { temperature: sample.temperature, topK: SAMPLE_TOP_K, seed: sample.seed };
      yield* this.generator.submissions(Array.from(prompt), sample.tokens, options, (tokens) => {
        drawn.push(...tokens);
      });
    }
    this.program.run({ batch: this.#inputs });
    yield;
    const names = Object.keys(probeStates(this.config, this.shape, layoutParameters(this.config)));
    yield states.beginReadAll(names).map((values) => onResult(this.#observe(values, drawn)));
  }

  /** States are read with their padding: each value's own length is taken. */
  #observe(
    values: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
    sample: readonly number[],
  ): Observation {
    const { config: { layers, heads }, shape: { prompt: P, repeated: R, top: K } } = this;
    const floats = (name: string, count: number) => new Float32Array(values.get(name)!.buffer, 0, count);
    const maps = floats("probe_attention", layers * heads * P * P);
    const next = floats("probe_next", P);
    const { parameters } = layoutParameters(this.config);
    const tensors = parameters.filter(({ name }) => this.shape.tensors.includes(name))
      .reduce((sum, parameter) => sum + usedSize(parameter), 0);
    return {
      attention: packAttention(maps, P),
      scores: scoresOf(maps, floats("probe_repeats", layers * heads * 2), P, R),
      topTokens: new Int32Array(values.get("probe_top_token")!.buffer, 0, P * K).slice(),
      topLogprobs: floats("probe_top_logprob", P * K).slice(),
      logprobs: next.slice(0, P - 1),
      repeatLoss: repeatLoss(floats("probe_repeat_next", Math.max(1, 2 * R)), R),
      sample: Int32Array.from(sample),
      tensors: tensors === 0 ? new Float32Array() : floats("probe_tensors", tensors).slice(),
    };
  }
}

function scoresOf(
  maps: Float32Array,
  repeats: Float32Array,
  P: number,
  R: number,
): Float32Array<ArrayBuffer> {
  const heads = maps.length / P ** 2;
  const scores = new Float32Array(heads * SCORES.length);
  for (let head = 0; head < heads; head++) {
    const values = {
      ...promptScores(maps.subarray(head * P * P, (head + 1) * P * P), P),
      same: R > 1 ? repeats[2 * head] : NaN,
      induction: R > 1 ? repeats[2 * head + 1] : NaN,
    };
    SCORES.forEach((name, i) => scores[head * SCORES.length + i] = values[name]);
  }
  return scores;
}

/** Mean losses of both halves; the token at which the repetition begins cannot be known. */
function repeatLoss(next: Float32Array, R: number): Float32Array<ArrayBuffer> {
  const mean = (from: number, to: number) =>
    -next.subarray(from, to).reduce((sum, value) => sum + value, 0) / Math.max(0, to - from);
  return Float32Array.of(mean(0, R - 1), mean(R, 2 * R - 1));
}

/** The two sequences, and the token after each of theirs; padding is token 0. */
function probeInputs(config: ModelConfig, { repeated, length }: ProbeShape, prompt: ArrayLike<number>) {
  const random = repeatedTokens(config, repeated);
  const tokens = new Int32Array(2 * length);
  tokens.set(Array.from(prompt), 0);
  tokens.set([...random, ...random], length);
  const targets = new Int32Array(2 * length);
  for (const start of [0, length]) targets.set(tokens.subarray(start + 1, start + length), start);
  return { tokens, targets };
}

/** Byte-pair encodings number their tokens by frequency: so many of the first are common ones. */
const COMMON = 10_000;

/**
 * Different tokens in an order that means nothing, the same ones always: small letters where tokens are bytes, common ones
 * otherwise.
 */
export function repeatedTokens({ vocabulary }: ModelConfig, count: number): number[] {
  const [from, size] = vocabulary === BYTE_VOCABULARY
    ? ["a".charCodeAt(0), 26]
    : [vocabulary > 2 * BYTE_VOCABULARY ? BYTE_VOCABULARY : 0, Math.min(COMMON, vocabulary)];
  const pool = Array.from({ length: Math.min(size, vocabulary - from) }, (_, i) => from + i);
  let state = 1;
  for (let i = pool.length - 1; i > 0; i--) {
    state = Math.imul(state, 0x19660d) + 0x3c6ef35f >>> 0; // Numerical Recipes' linear congruential generator
    const j = Math.floor(state / 2 ** 32 * (i + 1));
    [pool[i], pool[j]] = [pool[j], pool[i]];
  }
  return pool.slice(0, count);
}
