/**
 * Text to batches: sources of text, tokenizers, and batches whose content follows from seed and position.
 *
 * @module
 */
export { type Batch, Dataset, type DatasetOptions } from "./dataset.ts";
export { type EncodeOptions, encodeText } from "./encode.ts";
export { DataError } from "./errors.ts";
export { DATA_FORMS, loadText, type TextOptions } from "./text.ts";
export { loadTokenizer, type Tokenizer, type TokenizerName, TOKENIZERS } from "./tokenizer.ts";
