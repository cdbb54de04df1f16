/**
 * Writes a model as `transformers.GPT2LMHeadModel.from_pretrained` and `AutoTokenizer.from_pretrained` load it.
 *
 * @module
 */
import { dirname, join } from "@std/path";
import { GPT2_VOCABULARY, type ModelConfig } from "../config.ts";
import { exists, removeIfThere, syncFolder, writeDurably } from "../durable_files.ts";
import { InputError } from "../errors.ts";
import { layoutParameters } from "../params.ts";
import { type NamedTensor, type TensorDType, writeAll, writeSafetensors } from "../safetensors.ts";
import type { Weights } from "../weights.ts";
import { huggingFaceConfig } from "./config.ts";
import { INDEX_FILE, MODEL_FILE } from "./tensors.ts";

/** How a model is written. */
export interface ExportOptions {
  /** What the tensors are written in; F32 by default. */
  readonly dtype?: TensorDType;
  /** Bytes of tensors in one file, at most, unless a single one is larger; 5 GB by default, as transformers has it. */
  readonly maxShardBytes?: number;
  /** Put the files in place of those that are there. */
  readonly force?: boolean;
}

const PREFIX = "transformer.";
const MAX_SHARD_BYTES = 5e9;
const BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
const TORCH_DTYPES = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/**
 * Writes a folder. It appears whole or not at all: the files are written to a folder beside it, which then gets its name.
 *
 * @returns Bytes of all files.
 * @throws {InputError} when there are files in it already and `force` is not given.
 */
export async function exportWeights(
  weights: Weights,
  folder: string,
  options: ExportOptions = {},
): Promise<number> {
  const { dtype = "F32", maxShardBytes = MAX_SHARD_BYTES, force = false } = options;
  if (!force) await requireEmpty(folder);
  const tensors = await weights.read();
  const temporary = `${folder.replace(/\/+$/, "")}.tmp-${Deno.pid}`;
  await removeIfThere(temporary);
  await Deno.mkdir(temporary, { recursive: true });
  try {
    const written = await writeFiles(temporary, weights, tensors, dtype, maxShardBytes);
    await syncFolder(temporary);
    await putInPlace(temporary, folder);
    return written;
  } catch (problem) {
    await removeIfThere(temporary).catch(() => {});
    throw problem;
  }
}

async function requireEmpty(folder: string): Promise<void> {
  try {
    for await (const { name } of Deno.readDir(folder)) {
      throw new InputError(folder, `there is ${name} in it already`, "name another folder, or add --force");
    }
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return;
    if (!(problem instanceof Deno.errors.NotADirectory)) throw problem;
    throw new InputError(folder, "it is a file", "name a folder");
  }
}

/** Moves an old folder out of the way first: at any moment one of the two is there. */
async function putInPlace(temporary: string, folder: string): Promise<void> {
  const aside = `${temporary}.old`;
  const isThere = await exists(folder);
  if (isThere) await Deno.rename(folder, aside);
  try {
    await Deno.rename(temporary, folder);
  } catch (problem) {
    if (isThere) await Deno.rename(aside, folder);
    throw problem;
  }
  await syncFolder(dirname(folder));
  await removeIfThere(aside);
}

async function writeFiles(
  folder: string,
  { config, tokenizer }: Weights,
  tensors: ReadonlyMap<string, Float32Array>,
  dtype: TensorDType,
  maxShardBytes: number,
): Promise<number> {
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  const texts: Record<string, string> = {
    "config.json": json({ ...huggingFaceConfig(config), torch_dtype: TORCH_DTYPES[dtype] }),
    "generation_config.json": json(generationConfig(config)),
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": json(tokenizerConfig(config)),
  };
  const shards = shardsOf(config, tensors, maxShardBytes / BYTES[dtype]);
  const names = shards.map((_, i) => shardName(i, shards.length));
  if (shards.length > 1) texts[INDEX_FILE] = json(indexOf(shards, names, dtype));
  let bytes = 0;
  for (const [name, text] of Object.entries(texts)) {
    const record = await writeDurably(
      join(folder, name),
      (file) => writeAll(file, new TextEncoder().encode(text)),
    );
    bytes += record.bytes;
  }
  for (const [i, shard] of shards.entries()) {
    bytes += (await writeDurably(join(folder, names[i]), (file) =>
      writeSafetensors(file, shard, {}, dtype))).bytes;
  }
  return bytes;
}

function shardsOf(
  config: ModelConfig,
  tensors: ReadonlyMap<string, Float32Array>,
  most: number,
): NamedTensor[][] {
  const shards: NamedTensor[][] = [[]];
  let count = 0;
  for (const { name, shape, rows } of layoutParameters(config).parameters) {
    const data = tensors.get(name)!;
    if (count > 0 && count + data.length > most) {
      shards.push([]);
      count = 0;
    }
    count += data.length;
    shards.at(-1)!.push({ name: PREFIX + name, shape: [rows, ...shape.slice(1)], data });
  }
  return shards;
}

function shardName(index: number, count: number): string {
  if (count === 1) return MODEL_FILE;
  const five = (value: number) => `${value}`.padStart(5, "0");
  return `model-${five(index + 1)}-of-${five(count)}.safetensors`;
}

function indexOf(shards: readonly NamedTensor[][], names: readonly string[], dtype: TensorDType) {
  const count = shards.flat().reduce((sum, { data }) => sum + data.length, 0);
  const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]]));
  return { metadata: { total_size: BYTES[dtype] * count }, weight_map: Object.fromEntries(map) };
}

function generationConfig({ vocabulary }: ModelConfig): Record<string, unknown> {
  const endOfText = vocabulary === GPT2_VOCABULARY
    ? { bos_token_id: vocabulary - 1, eos_token_id: vocabulary - 1 }
    : {};
  return { _from_model_config: true, ...endOfText };
}

function tokenizerConfig({ vocabulary, context }: ModelConfig): Record<string, unknown> {
  const end = "<|endoftext|>";
  const isGpt2 = vocabulary === GPT2_VOCABULARY;
  return {
    add_prefix_space: false,
    model_max_length: context,
    tokenizer_class: isGpt2 ? "GPT2Tokenizer" : "PreTrainedTokenizerFast",
    ...isGpt2 && { bos_token: end, eos_token: end, unk_token: end },
  };
}
