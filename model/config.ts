/**
 * GPT-2's sizes: the presets, what a user may override, and the checks. The other files of `model/` take a
 * {@link ModelConfig} that has passed {@link resolveConfig}, so none of them checks again.
 *
 * @module
 */
import { InputError } from "./errors.ts";

/** The shape of a GPT-2. */
export interface ModelConfig {
  /** Transformer blocks. */
  readonly layers: number;
  /** Width of the residual stream, in channels. */
  readonly width: number;
  /** Attention heads; they divide the width. */
  readonly heads: number;
  /** Most tokens that the model can look at: rows of the position embedding. */
  readonly context: number;
  /** Tokens that exist. */
  readonly vocabulary: number;
}

/** Names of the presets, smallest first. */
export const PRESET_NAMES = ["nano", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] as const;

/** Name of a preset. */
export type PresetName = (typeof PRESET_NAMES)[number];

/** Number of byte values: the vocabulary of the byte tokenizer. */
export const BYTE_VOCABULARY = 256;

/** Number of tokens of GPT-2's byte-pair encoding, `<|endoftext|>` included. */
export const GPT2_VOCABULARY = 50_257;

/** Longest context of a GPT-2. */
export const MAX_CONTEXT = 1024;

/**
 * The presets. `nano` is a byte-level model that visibly learns within two minutes on two processor cores; the
 * others are the four published GPT-2s (Radford et al. 2019, table 2, with the head counts of the released weights).
 */
export const PRESETS: Readonly<Record<PresetName, ModelConfig>> = {
  "nano": { layers: 3, width: 128, heads: 4, context: 64, vocabulary: BYTE_VOCABULARY },
  "gpt2": { layers: 12, width: 768, heads: 12, context: 1024, vocabulary: GPT2_VOCABULARY },
  "gpt2-medium": { layers: 24, width: 1024, heads: 16, context: 1024, vocabulary: GPT2_VOCABULARY },
  "gpt2-large": { layers: 36, width: 1280, heads: 20, context: 1024, vocabulary: GPT2_VOCABULARY },
  "gpt2-xl": { layers: 48, width: 1600, heads: 25, context: 1024, vocabulary: GPT2_VOCABULARY },
};

/** Epsilon of every layerNorm. */
export const LAYER_NORM_EPSILON = 1e-5;

/** Rows of the token embedding: the vocabulary rounded up to a multiple of 64 (50257 -> 50304), so that tiles fit. */
export function paddedVocabulary(config: ModelConfig): number {
  return Math.ceil(config.vocabulary / 64) * 64;
}

/** Channels of one attention head. */
export function headWidth(config: ModelConfig): number {
  return config.width / config.heads;
}

/**
 * A preset with overrides, checked.
 *
 * @example
 * ```ts
 * import { resolveConfig } from "./config.ts";
 * console.log(resolveConfig("nano", { layers: 2 }).width); // 128
 * ```
 * @throws {InputError} when the sizes do not make a model; the message names the flag that sets the size.
 */
export function resolveConfig(preset: PresetName, overrides: Partial<ModelConfig> = {}): ModelConfig {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  const config: ModelConfig = { ...PRESETS[preset], ...Object.fromEntries(given) };
  for (const [name, most] of Object.entries(LIMITS)) {
    const value = config[name as keyof typeof LIMITS];
    if (Number.isInteger(value) && value >= 1 && value <= most) continue;
    throw new InputError(
      `--${name} ${value}`,
      value > most ? `the limit is ${most}` : "not a whole number of at least 1",
      `choose between 1 and ${most}`,
    );
  }
  if (config.width % config.heads !== 0) {
    throw new InputError(
      `--width ${config.width} --heads ${config.heads}`,
      "the heads do not divide the width",
      `for ${config.heads} heads take --width ${nearestMultiple(config.width, config.heads)}`,
    );
  }
  return config;
}

/** Largest size of each flag: past these no adapter could hold the model, or the context is not GPT-2's. */
const LIMITS = { layers: 192, width: 16_384, heads: 256, context: MAX_CONTEXT };

function nearestMultiple(value: number, factor: number): number {
  return Math.max(1, Math.round(value / factor)) * factor;
}
