/**
 * The three ways in which published token files are written, and the names of their folders' files. All hold tokens as little-endian
 * u16 words after a header, if there is one:
 *
 * | format | header | train | validation |
 * |---|---|---|---|
 * | `npy`: NumPy's `np.save` of a uint16 array (build-nanogpt) | 128 bytes here | `PREFIX_train_000001.npy` … | `PREFIX_val_000000.npy` |
 * | `bin`: llm.c | 1024 bytes: 256 i32 words, magic, version, count | `PREFIX_train_000001.bin` … | `PREFIX_val_000000.bin` |
 * | `raw`: nanoGPT | none | `train.bin` | `val.bin` |
 *
 * @module
 */

/** Names of the formats. */
export const SHARD_FORMATS = ["npy", "bin", "raw"] as const;
/** Name of a format. */
export type ShardFormat = (typeof SHARD_FORMATS)[number];

/** Bytes of a token in a file. */
export const TOKEN_BYTES = 2;

/** The first bytes of every .npy file. */
export const NPY_MAGIC: Uint8Array = Uint8Array.of(0x93, ...new TextEncoder().encode("NUMPY"));

/** llm.c's first word in a file of GPT-2 tokens. */
export const LLMC_MAGIC = 20_240_520;
/** llm.c's second word. */
export const LLMC_VERSION = 1;
/** Words of llm.c's header. */
export const LLMC_HEADER_WORDS = 256;

/** The part that a file's tokens belong to. */
export type Split = "train" | "val";

/**
 * Name of a shard as build-nanogpt and llm.c write it: shard 0 is for validation, the others for training.
 *
 * @example
 * ```ts
 * import { shardName } from "./format.ts";
 * shardName("edufineweb", 0, "npy"); // edufineweb_val_000000.npy
 * shardName("edufineweb", 12, "bin"); // edufineweb_train_000012.bin
 * ```
 */
export function shardName(prefix: string, index: number, format: Exclude<ShardFormat, "raw">): string {
  return `${prefix}_${index === 0 ? "val" : "train"}_${String(index).padStart(6, "0")}.${format}`;
}

/** Header of a shard of `count` tokens; empty for `raw`. */
export function shardHeader(format: ShardFormat, count: number): Uint8Array<ArrayBuffer> {
  if (format === "npy") return npyHeader(count);
  if (format === "bin") return llmcHeader(count);
  return new Uint8Array(0);
}

/** Version 1.0 of the format, padded as NumPy pads it: the data begins at a multiple of 64 bytes. */
function npyHeader(count: number): Uint8Array<ArrayBuffer> {
  const text = `{'descr': '<u2', 'fortran_order': False, 'shape': (${count},), }`;
  const before = NPY_MAGIC.length + 2 + 2;
  const total = Math.ceil((before + text.length + 1) / 64) * 64;
  const header = new Uint8Array(total).fill(" ".charCodeAt(0));
  header.set(NPY_MAGIC);
  header.set([1, 0], NPY_MAGIC.length);
  new DataView(header.buffer).setUint16(NPY_MAGIC.length + 2, total - before, true);
  header.set(new TextEncoder().encode(text), before);
  header[total - 1] = "\n".charCodeAt(0);
  return header;
}

function llmcHeader(count: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(LLMC_HEADER_WORDS * Int32Array.BYTES_PER_ELEMENT);
  const view = new DataView(header.buffer);
  [LLMC_MAGIC, LLMC_VERSION, count].forEach((word, i) => view.setInt32(4 * i, word, true));
  return header;
}
