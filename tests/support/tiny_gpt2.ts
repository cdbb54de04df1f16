/**
 * A GPT-2 small enough that its whole training step compiles in a fraction of a second, for tests of the compiler's
 * stages.
 *
 * @module
 */
import type { Graph } from "../../compiler/mod.ts";
import type { ModelConfig } from "../../model/config.ts";
import { traceTrainStep } from "../../model/programs.ts";

/** Sizes of the model; the vocabulary is padded to 512 rows. */
export function tinyConfig(layers = 2): ModelConfig {
  return { layers, width: 32, heads: 2, context: 16, vocabulary: 500 };
}

/** Sequences and tokens of each in a batch. */
export const TINY_BATCH = { batch: 2, context: 16 } as const;

/** Its training step. */
export function tinyTrainStep(layers = 2): Graph {
  return traceTrainStep(tinyConfig(layers), TINY_BATCH);
}
