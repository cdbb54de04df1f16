/**
 * Things to watch in tests: observations that no model made, but that have every size right.
 *
 * @module
 */
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import type { ModelConfig } from "../../../model/config.ts";
import { layoutParameters } from "../../../model/params.ts";
import { type Observation, packAttention, SCORES } from "../../../model/watch/observation.ts";
import type { Watched } from "../../../model/watch/page_data.ts";
import { usedSize } from "../../../model/watch/probe_program.ts";
import type { Snapshot } from "../../../model/watch/snapshot_format.ts";
import { seededUniform } from "../seeded.ts";

/** Two layers of three heads over bytes. */
export const MODEL: ModelConfig = { layers: 2, width: 12, heads: 3, context: 16, vocabulary: 256 };
/** Its text has what a page must escape. */
export const PROMPT = [...byteTokenizer().encode("a </script>\n& b")];

/** Seeded values for every field. */
export function observation(
  seed: number,
  { model = MODEL, prompt = PROMPT.length, sample = 9, tensors = [] as readonly string[] } = {},
): Observation {
  const uniform = seededUniform(seed);
  const heads = model.layers * model.heads;
  const top = Math.min(8, model.vocabulary);
  const floats = (count: number, make: () => number) => Float32Array.from({ length: count }, make);
  const tokens = (count: number) =>
    Int32Array.from({ length: count }, () => Math.floor(uniform() * model.vocabulary));
  const weights = new Float32Array(heads * prompt * prompt);
  for (let row = 0; row < heads * prompt; row++) {
    const values = Array.from({ length: row % prompt + 1 }, () => uniform() ** 6);
    const total = values.reduce((sum, value) => sum + value);
    values.forEach((value, column) => weights[row * prompt + column] = value / total);
  }
  const chosen = layoutParameters(model).parameters.filter(({ name }) => tensors.includes(name));
  return {
    attention: packAttention(weights, prompt),
    scores: floats(heads * SCORES.length, uniform),
    topTokens: tokens(prompt * top),
    topLogprobs: floats(prompt * top, () => Math.log(uniform() + 1e-3)),
    logprobs: floats(prompt - 1, () => Math.log(uniform() + 1e-3)),
    repeatLoss: Float32Array.of(5 + uniform(), 1 + uniform()),
    sample: tokens(sample),
    tensors: floats(chosen.reduce((sum, parameter) => sum + usedSize(parameter), 0), () => uniform() - 0.5),
  };
}

/** A snapshot of {@link MODEL}. */
export function snapshot(step: number, tensors: readonly string[] = []): Snapshot {
  return {
    step,
    model: MODEL,
    tokenizer: "bytes",
    prompt: PROMPT,
    tensors,
    observation: observation(step, { tensors }),
  };
}

/** A run of so many steps. */
export function watched(steps: number): Watched {
  return {
    name: "a <b>run</b>",
    source: `${steps} checkpoints`,
    model: MODEL,
    tokenizer: byteTokenizer(),
    prompt: PROMPT,
    frames: Array.from({ length: steps }, (_, i) => ({ step: 10 * i, observation: observation(i) })),
    metrics: Array.from(
      { length: 10 * steps },
      (_, i) => ({ event: "step", step: i, loss: 5 - Math.log1p(i) }),
    ),
  };
}
