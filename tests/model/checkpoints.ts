/**
 * Checkpoints to save in tests.
 *
 * @module
 */
import type { CheckpointContents } from "../../model/checkpoint.ts";
import type { ModelConfig } from "../../model/config.ts";
import { layoutParameters } from "../../model/params.ts";

/** A model of a few hundred parameters. */
export const SMALL: ModelConfig = { layers: 1, width: 8, heads: 2, context: 4, vocabulary: 10 };

/** A model whose files take a while to write: 13 MB of parameters. */
export const LARGE: ModelConfig = { layers: 1, width: 256, heads: 2, context: 64, vocabulary: 10_000 };

/** A checkpoint of {@link SMALL}; every value says its step. */
export function small(step: number): CheckpointContents {
  return contents(SMALL, step);
}

/** A checkpoint of {@link LARGE}. */
export function large(step: number): CheckpointContents {
  return contents(LARGE, step);
}

function contents(config: ModelConfig, step: number): CheckpointContents {
  const layout = layoutParameters(config);
  const parameters = layout.parameters.map(({ name, shape, size, rows }, i) => {
    const data = new Float32Array(size / shape[0] * rows);
    for (let j = 0; j < data.length; j++) data[j] = step + i + j / 1000;
    return { name, shape: [rows, ...shape.slice(1)], data };
  });
  const flat = { shape: [layout.size], data: new Float32Array(layout.size).fill(step) };
  return {
    config,
    tokenizer: "{}",
    parameters,
    optimizer: [{ name: "m", ...flat }, { name: "v", ...flat }],
    trainer: { step, position: step * 2, seed: 1, plan: { a: 1 } },
  };
}
