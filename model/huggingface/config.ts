/**
 * `config.json` of a GPT-2 as Hugging Face's transformers reads it.
 *
 * @module
 */
import { GPT2_VOCABULARY, LAYER_NORM_EPSILON, type ModelConfig } from "../config.ts";

/** `config.json` as transformers writes it for a GPT-2. */
export function huggingFaceConfig(
  { layers, width, heads, context, vocabulary }: ModelConfig,
): Record<string, unknown> {
  const endOfText = vocabulary === GPT2_VOCABULARY ? GPT2_VOCABULARY - 1 : null;
  return {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    activation_function: "gelu_new",
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    bos_token_id: endOfText,
    eos_token_id: endOfText,
    initializer_range: 0.02,
    layer_norm_epsilon: LAYER_NORM_EPSILON,
    n_ctx: context,
    n_embd: width,
    n_head: heads,
    n_inner: null,
    n_layer: layers,
    n_positions: context,
    tie_word_embeddings: true,
    torch_dtype: "float32",
    vocab_size: vocabulary,
  };
}
