/**
 * The loss of a model on validation data, in the units in which people publish it.
 *
 * @module
 */
import { compileGraph } from "../../compiler/mod.ts";
import type { Batches } from "../../data/mod.ts";
import type { GpuDevice, LoadedProgram, MetricsRing, StateStore } from "../../runtime/mod.ts";
import type { ModelConfig } from "../config.ts";
import { layoutParameters } from "../params.ts";
import { runPipeline, type Submissions } from "../pipeline.ts";
import type { Precision } from "../precision.ts";
import { type BatchShape, traceLoss } from "../programs.ts";
import type { ModeName } from "../run_options.ts";

/** A loss over some batches. */
export interface LossScore {
  /** Mean cross-entropy of a token, in nats. */
  readonly loss: number;
  /** Its exponential: as if so many tokens were equally likely. */
  readonly perplexity: number;
  /** Bits of a token, which is the loss in other units. */
  readonly bitsPerToken: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
  /** Batches that they came in. */
  readonly batches: number;
}

/** How the loss is computed. */
export interface LossOptions {
  /** What products read and write; f32 by default. */
  readonly dtype?: Precision;
  /** Compiler mode. */
  readonly mode?: ModeName;
}

/** Batches between two readbacks, at most. */
const SLOTS = 64;
/** Time between two readbacks that a reader does not mind, in milliseconds. */
const CHUNK_MS = 250;

/** The loss of the parameters in a {@link StateStore}. */
export class LossEvaluation {
  private constructor(
    private readonly shape: BatchShape,
    private readonly program: LoadedProgram,
    private readonly ring: MetricsRing,
  ) {}

  /**
   * Compiles and loads the program.
   *
   * @param shape That of the batches.
   * @throws {LimitError} when the device has no room for it.
   */
  static async load(
    device: GpuDevice,
    states: StateStore,
    config: ModelConfig,
    shape: BatchShape,
    { dtype = "f32", mode = "fused" }: LossOptions = {},
  ): Promise<LossEvaluation> {
    const graph = traceLoss(config, shape, layoutParameters(config), dtype);
    const compiled = compileGraph(graph, device.capabilities, { mode, name: "loss" });
    const program = await device.load(compiled, states);
    return new LossEvaluation(shape, program, program.createRing(["loss"], { slots: SLOTS }));
  }

  /**
   * Evaluates the first `count` validation batches.
   *
   * @param count At least one.
   * @param onProgress Is told what is known so far, now and then.
   */
  async run(data: Batches, count: number, onProgress?: (score: LossScore) => void): Promise<LossScore> {
    let result: LossScore | undefined;
    const take = (score: LossScore) => {
      result = score;
      if (score.batches < count) onProgress?.(score);
    };
    await runPipeline(this.#submissions(data, count, take));
    return result!;
  }

  *#submissions(data: Batches, count: number, take: (score: LossScore) => void): Submissions {
    let sum = 0;
    for (let next = 0, chunk = 1; next < count;) {
      const first = next;
      const started = performance.now();
      for (const stop = Math.min(count, first + chunk); next < stop; next++) {
        this.program.run({ batch: { ...data.validationBatch(next) }, record: this.ring });
        yield;
      }
      const batches = next;
      yield this.ring.beginDrain().map((records) => {
        for (const { values } of records) sum += values.loss;
        take(this.#score(sum / batches, batches));
      });
      const rate = (next - first) / (performance.now() - started);
      chunk = Math.min(SLOTS, Math.max(1, Math.round(CHUNK_MS * rate)));
    }
  }

  #score(loss: number, batches: number): LossScore {
    const { batch, context } = this.shape;
    return {
      loss,
      perplexity: Math.exp(loss),
      bitsPerToken: loss / Math.LN2,
      tokens: batches * batch * context,
      batches,
    };
  }
}
