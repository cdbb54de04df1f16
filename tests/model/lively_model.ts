/**
 * A GPT-2 that was never trained but has something to say: weights large enough that its texts vary, on a device.
 *
 * @module
 */
import { byteTokenizer } from "../../data/byte_tokenizer.ts";
import { Batcher, type BatcherLimits } from "../../model/batcher.ts";
import type { ModelConfig } from "../../model/config.ts";
import { Decoder } from "../../model/decoder.ts";
import { NO_FEATURES } from "../../model/draw_program.ts";
import type { GenerationEvent, GenerationRequest } from "../../model/generation.ts";
import { layoutParameters } from "../../model/params.ts";
import { runPipeline } from "../../model/pipeline.ts";
import type { Precision } from "../../model/precision.ts";
import { writeServing } from "../../model/serving_layout.ts";
import type { GpuDevice } from "../../runtime/mod.ts";
import { seededUniform } from "./seeded.ts";

/** Two layers over bytes. */
export const LIVELY: ModelConfig = { layers: 2, width: 32, heads: 2, context: 32, vocabulary: 256 };

/** Words weigh little against their places, so that the model does not say the same word for ever. */
const DEVIATIONS: Readonly<Record<string, number>> = { "wte.weight": 0.3, "wpe.weight": 1 };

/** Seeded weights, flat, in the layout of training. */
export function livelyWeights(config: ModelConfig, seed = 3): Float32Array {
  const layout = layoutParameters(config);
  const flat = new Float32Array(layout.size);
  const uniform = seededUniform(seed);
  for (const { name, offset, size, shape, rows } of layout.parameters) {
    const deviation = DEVIATIONS[name] ?? (shape.length > 1 ? 0.2 : 0.05);
    const count = size / shape[0] * rows;
    const mean = /ln_.*weight$/.test(name) ? 1 : 0;
    for (let i = 0; i < count; i++) flat[offset + i] = mean + deviation * (2 * uniform() - 1);
  }
  return flat;
}

/** A request that asks for nothing special. */
export const PLAIN: GenerationRequest = {
  prompt: "Call me",
  maxTokens: 20,
  sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 1 },
  stop: [],
  choices: 1,
};

/** A batcher of the lively model. */
export async function livelyBatcher(
  device: GpuDevice,
  { slots = 4, config = LIVELY, dtype, limits = { maxWaiting: 100, maxPromptTokens: 500 } }: {
    readonly slots?: number;
    readonly config?: ModelConfig;
    readonly dtype?: Precision;
    readonly limits?: BatcherLimits;
  } = {},
): Promise<Batcher> {
  const states = device.createStates();
  const decoder = new Decoder(device, states, config, { slots, dtype });
  await decoder.load([{ kind: "step", sequences: 1, features: NO_FEATURES }]);
  writeServing(states, layoutParameters(config), livelyWeights(config), dtype);
  return new Batcher(decoder, byteTokenizer(), limits);
}

/** The answer to one request, alone. */
export async function answerAlone(batcher: Batcher, request: GenerationRequest): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  batcher.submit(request, (event) => events.push(event));
  await runPipeline(batcher.submissions());
  return events;
}

/** Tokens of a choice. */
export function tokensOf(events: readonly GenerationEvent[], choice = 0): number[] {
  return events.flatMap((event) =>
    event.kind === "text" && event.choice === choice ? event.tokens.map(({ token }) => token) : []
  );
}

/** Text of a choice. */
export function textOf(events: readonly GenerationEvent[], choice = 0): string {
  return events.map((event) => event.kind === "text" && event.choice === choice ? event.text : "").join("");
}
