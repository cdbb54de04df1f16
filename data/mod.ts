/**
 * Text and shards of tokens to batches: sources, tokenizers, and batches whose content follows from seed and position.
 *
 * @example
 * ```ts
 * import { Dataset, encodeText, loadText } from "@sinter/sinter/data";
 * const tokens = await encodeText("gpt2", await loadText("moby-dick"));
 * const data = new Dataset("moby-dick", tokens, { batch: 4, context: 128, seed: 1 });
 * const { tokens: inputs, targets } = data.batchAt(0); // both [4 x 128]
 * console.log(inputs[1] === targets[0]); // true
 * ```
 *
 * @module
 */
export type { Batch, Batches, BatchOptions } from "./batches.ts";
export { type BuildOptions, type BuildPlan, type BuildReport, buildShards } from "./build/build.ts";
export { type BuildRoom, estimateRoom } from "./build/disk.ts";
export { type BuildInput, type OpenInput, parquetInput, textInput, type Unit } from "./build/input.ts";
export type {
  BuildFacts,
  DatasetFacts,
  InputRecord,
  Manifest,
  ShardRecord,
  TokenizerRecord,
} from "./build/manifest.ts";
export type { Documents } from "./build/tokenize_worker.ts";
export { Dataset } from "./dataset.ts";
export type { FileSum } from "./durable.ts";
export { type EncodeOptions, encodeText } from "./encode.ts";
export { cacheFolder } from "./download.ts";
export { DataError } from "./errors.ts";
export { type FetchedFile, fetchFile, type FetchOptions, type RemoteFile } from "./fetch_file.ts";
export { downloadedInputs, type DownloadOptions, localInputs } from "./fineweb/downloads.ts";
export {
  FINEWEB_SAMPLES,
  type FineWebSample,
  fineWebSample,
  type PublishedFile,
  type PublishedSample,
} from "./fineweb/sources.ts";
export {
  ENDINGS,
  type HellaSwagExample,
  type HellaSwagOptions,
  loadHellaSwag,
  parseHellaSwag,
  VALIDATION_EXAMPLES,
} from "./hellaswag.ts";
export { loadTokens, openData, type OpenDataOptions, type TokenizerFacts } from "./open.ts";
export {
  type InspectOptions,
  type InspectProgress,
  inspectShards,
  type ShardFinding,
  type ShardsReport,
} from "./shards/inspect.ts";
export { ShardDataset, type ShardOptions } from "./shards/shard_dataset.ts";
export type { Shard, ShardEntry, ShardSet } from "./shards/shard_set.ts";
export { SHARD_FORMATS, type ShardFormat, type Split } from "./shards/format.ts";
export type { ShardHeader } from "./shards/read_header.ts";
export { DATA_FORMS, loadText, type TextOptions } from "./text.ts";
export { loadTokenizer, type Tokenizer, type TokenizerName, TOKENIZERS } from "./tokenizer.ts";
export { tokenizerFromFile } from "./tokenizer_file.ts";
