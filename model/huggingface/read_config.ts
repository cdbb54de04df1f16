/**
 * Reads `config.json` of a GPT-2 as Hugging Face's transformers writes it, and refuses models that only look like one.
 *
 * @module
 */
import { LAYER_NORM_EPSILON, MAX_CONTEXT, type ModelConfig } from "../config.ts";
import { HuggingFaceError } from "./error.ts";

/** Fields that must have one of these values, or be left out where `undefined` is one. What they mean otherwise is not computed. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  model_type: ["gpt2", undefined],
  activation_function: ["gelu_new", "gelu_pytorch_tanh", undefined],
  layer_norm_epsilon: [LAYER_NORM_EPSILON, undefined],
  scale_attn_weights: [true, undefined],
  scale_attn_by_inverse_layer_idx: [false, undefined],
  add_cross_attention: [false, undefined],
  tie_word_embeddings: [true, undefined],
};

/** Sizes: our name, theirs, an older one of theirs, and the most that makes sense. */
const SIZES: readonly [own: keyof ModelConfig, theirs: string, older: string | undefined, most: number][] = [
  ["layers", "n_layer", undefined, 192],
  ["width", "n_embd", undefined, 16_384],
  ["heads", "n_head", undefined, 256],
  ["context", "n_positions", "n_ctx", MAX_CONTEXT],
  ["vocabulary", "vocab_size", undefined, 2 ** 20],
];

/**
 * The sizes of a model.
 *
 * @param path Of the file, for messages.
 * @param text Its contents.
 * @throws {HuggingFaceError} when it is no GPT-2, or one that computes something else.
 */
export function parseHuggingFaceConfig(path: string, text: string): ModelConfig {
  let fields: Record<string, unknown>;
  try {
    fields = Object(JSON.parse(text));
  } catch {
    throw new HuggingFaceError(path, "it is not JSON", "download it again");
  }
  for (const [name, values] of Object.entries(FIXED)) {
    const value = fields[name] ?? undefined;
    if (values.includes(value)) continue;
    const known = values.filter((each) => each !== undefined).map((each) => JSON.stringify(each)).join(
      " or ",
    );
    throw new HuggingFaceError(
      path,
      `${name} is ${JSON.stringify(value)}, and only ${known} is supported`,
      OTHER_MODEL,
    );
  }
  const config = Object.fromEntries(SIZES.map(([own, theirs, older, most]) => {
    const value = fields[theirs] ?? (older === undefined ? undefined : fields[older]);
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most) {
      return [own, value];
    }
    const problem = `${theirs} is ${JSON.stringify(value)}, expected a whole number from 1 to ${most}`;
    throw new HuggingFaceError(path, problem, OTHER_MODEL);
  })) as unknown as ModelConfig;
  if (config.width % config.heads !== 0) {
    const problem = `n_head ${config.heads} does not divide n_embd ${config.width}`;
    throw new HuggingFaceError(path, problem, OTHER_MODEL);
  }
  const inner = fields.n_inner ?? 4 * config.width;
  if (inner !== 4 * config.width) {
    const problem = `n_inner is ${JSON.stringify(inner)}, and only 4 x n_embd is supported`;
    throw new HuggingFaceError(path, problem, OTHER_MODEL);
  }
  return config;
}

const OTHER_MODEL = "take a model of GPT-2's architecture, such as openai-community/gpt2";
