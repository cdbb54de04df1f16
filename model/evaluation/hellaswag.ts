/**
 * HellaSwag, completion style (as in Karpathy's build-nanogpt): the model chooses the ending that it finds likeliest behind the
 * context. Nothing is asked; the four endings are four texts, and their losses are compared: summed (`acc`) and as a mean over
 * their tokens (`acc_norm`), so that short endings have no advantage. Guessing is right in a quarter of the examples.
 *
 * A loaded evaluation looks at whatever parameters lie in the {@link StateStore}: those of a run that goes on, or those of a
 * checkpoint.
 *
 * @module
 */
import { compileGraph } from "../../compiler/mod.ts";
import { ENDINGS, type HellaSwagExample, type Tokenizer } from "../../data/mod.ts";
import type { GpuDevice, LoadedProgram, StateStore } from "../../runtime/mod.ts";
import type { ModelConfig } from "../config.ts";
import { runPipeline, type Submissions } from "../pipeline.ts";
import type { Precision } from "../precision.ts";
import type { ModeName } from "../run_options.ts";
import type { Tuning } from "../tuning.ts";
import { type ChoicesShape, lossesState, traceChoices } from "./choices_program.ts";
import { packChoices, type PackedBatch, type Packing } from "./packing.ts";

/** How the examples are computed. */
export interface HellaSwagLoadOptions {
  /** Rows of tokens that pass through the model at once; by default what suits the device. */
  readonly rows?: number;
  /** What products read and write; f32 by default. */
  readonly dtype?: Precision;
  /** Compiler mode. */
  readonly mode?: ModeName;
  /** Is given the program that is compiled. */
  readonly onCompiled?: Tuning["onCompiled"];
}

/** Losses of an example's endings, in their order. */
export interface EndingLosses {
  /** Summed over the tokens of each ending, in nats. */
  readonly sums: readonly number[];
  /** Mean over the tokens of each ending. */
  readonly means: readonly number[];
}

/** How many were right. */
export interface HellaSwagScore {
  /** Examples whose right ending has the least summed loss; the first ending of equals counts. */
  readonly correct: number;
  /** Examples whose right ending has the least mean loss. */
  readonly correctNorm: number;
  /** Examples that were looked at. */
  readonly count: number;
  /** Share of `correct`. */
  readonly acc: number;
  /** Share of `correctNorm`. */
  readonly accNorm: number;
}

/** The score of all examples. */
export interface HellaSwagResult extends HellaSwagScore {
  /** Of each example, in their order. */
  readonly losses: readonly EndingLosses[];
}

/** Share of examples that guessing gets right. */
export const CHANCE = 1 / ENDINGS;

/** Standard error of a share of `count` independent examples. */
export function standardError(share: number, count: number): number {
  return Math.sqrt(share * (1 - share) / count);
}

/** Says how many examples are cut; undefined when none is. */
export function cutText(
  { cut, count }: Pick<HellaSwag, "cut" | "count">,
  { context }: ModelConfig,
): string | undefined {
  if (cut === 0) return undefined;
  return `${cut} of ${count} examples are longer than the model's context of ${context} tokens: it sees their ends`;
}

/** Tokens of a row: most examples have fewer, and attention costs a row's length for each token. */
const ROW_TOKENS = 256;
/** Tokens of a batch: on a processor as few as matrix products run well with, on a GPU enough to fill it. */
const BATCH_TOKENS = { software: 1024, gpu: 8192 };
/** Runs between two readbacks, at most. */
const SLOTS = 16;
/** Time between two readbacks that a reader does not mind, in milliseconds. */
const CHUNK_MS = 250;

/** HellaSwag on a device. */
export class HellaSwag {
  private constructor(
    private readonly states: StateStore,
    private readonly examples: readonly HellaSwagExample[],
    private readonly packing: Packing,
    private readonly shape: ChoicesShape,
    private readonly program: LoadedProgram,
  ) {}

  /**
   * Tokenizes the examples, and compiles and loads the program; it reads the parameters in `states`.
   *
   * @param tokenizer The model's own.
   * @param examples At least one.
   * @throws {LimitError} when the device has no room for it.
   */
  static async load(
    device: GpuDevice,
    states: StateStore,
    config: ModelConfig,
    tokenizer: Pick<Tokenizer, "encode">,
    examples: readonly HellaSwagExample[],
    { rows, dtype = "f32", mode = "fused", onCompiled }: HellaSwagLoadOptions = {},
  ): Promise<HellaSwag> {
    const { capabilities } = device;
    const packing = packChoices(examples.map((example) => tokensOf(example, tokenizer)), {
      context: config.context,
      length: ROW_TOKENS,
      rows,
      tokens: capabilities.software ? BATCH_TOKENS.software : BATCH_TOKENS.gpu,
    });
    const shape = { ...packing.shape, slots: SLOTS };
    const compiled = compileGraph(traceChoices(config, shape, dtype), capabilities, {
      mode,
      name: "hellaswag",
      onCompiled,
    });
    return new HellaSwag(states, examples, packing, shape, await device.load(compiled, states));
  }

  /** Examples of an evaluation. */
  get count(): number {
    return this.examples.length;
  }

  /** Examples that are longer than the model's context, of which the end alone is seen. */
  get cut(): number {
    return this.packing.cut;
  }

  /** Runs of the program that an evaluation takes. */
  get runs(): number {
    return this.packing.batches.length;
  }

  /**
   * Evaluates all examples.
   *
   * @param onProgress Is told what is known so far, now and then. Long and short examples come mixed.
   */
  async run(onProgress?: (score: HellaSwagScore) => void): Promise<HellaSwagResult> {
    let result: HellaSwagResult | undefined;
    await runPipeline(this.submissions((found) => void (result = found), onProgress));
    return result!;
  }

  /**
   * As {@link run}, for a pipeline that has other work as well: between two steps of a run.
   *
   * @param onResult Called with the result; the pipeline waits for it.
   */
  *submissions(
    onResult: (result: HellaSwagResult) => void | Promise<void>,
    onProgress: (score: HellaSwagScore) => void = () => {},
  ): Submissions {
    const { packing: { batches }, shape, program, states } = this;
    const { scored, slots } = shape;
    const state = lossesState(shape);
    const tally = new Tally(this.examples);
    for (let next = 0, chunk = 1; next < batches.length;) {
      const first = next;
      const started = performance.now();
      for (const stop = Math.min(batches.length, first + chunk); next < stop; next++) {
        program.run({ batch: batches[next].inputs, scalars: { slot: next - first } });
        yield;
      }
      const taken = batches.slice(first, next);
      const isLast = next === batches.length;
      yield states.beginRead(state, 0, taken.length * scored * 4).map(async (bytes) => {
        const losses = new Float32Array(bytes.buffer);
        taken.forEach((batch, i) => tally.take(batch, losses.subarray(i * scored, (i + 1) * scored)));
        if (isLast) await onResult({ ...tally.score, losses: tally.losses });
        else if (tally.score.count > 0) onProgress(tally.score);
      });
      const rate = (next - first) / (performance.now() - started);
      chunk = Math.min(slots, Math.max(1, Math.round(CHUNK_MS * rate)));
    }
  }

  /** Frees the program's memory. Nothing may be under way. */
  destroy(): void {
    this.program.destroy();
  }
}

/** Contexts and endings are tokenized apart, so that the endings of an example differ in nothing but themselves. */
function tokensOf({ context, endings }: HellaSwagExample, tokenizer: Pick<Tokenizer, "encode">) {
  return {
    context: tokenizer.encode(context),
    endings: endings.map((ending) => tokenizer.encode(` ${ending}`)),
  };
}

/** Adds up what comes in batch by batch. */
class Tally {
  readonly losses: { readonly sums: number[]; readonly means: number[] }[];
  readonly #missing: number[];
  #correct = 0;
  #correctNorm = 0;
  #count = 0;

  constructor(private readonly examples: readonly HellaSwagExample[]) {
    this.losses = examples.map(() => ({ sums: [], means: [] }));
    this.#missing = examples.map(({ endings }) => endings.length);
  }

  /** Takes the losses of the scored tokens of a batch. */
  take({ spans }: PackedBatch, losses: Float32Array): void {
    for (const { example, ending, start, end } of spans) {
      const { sums, means } = this.losses[example];
      sums[ending] = losses.subarray(start, end).reduce((sum, loss) => sum + loss, 0);
      means[ending] = sums[ending] / (end - start);
      if (--this.#missing[example] > 0) continue;
      const { label } = this.examples[example];
      this.#count++;
      if (least(sums) === label) this.#correct++;
      if (least(means) === label) this.#correctNorm++;
    }
  }

  get score(): HellaSwagScore {
    const [correct, correctNorm, count] = [this.#correct, this.#correctNorm, this.#count];
    return { correct, correctNorm, count, acc: correct / count, accNorm: correctNorm / count };
  }
}

/** Where the least of some numbers is, the first of equals; -1 when some are no numbers, which is never right. */
export function least(values: readonly number[]): number {
  return values.some(Number.isNaN) ? -1 : values.indexOf(Math.min(...values));
}
