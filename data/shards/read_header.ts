/**
 * Reads the header of a token file and checks it against the file's size. Files come from anywhere, so nothing in a header
 * is believed: each word is compared with what this project reads, and the count with the bytes that are there.
 *
 * The first word tells llm.c's files from nanoGPT's headerless ones: llm.c's magics hold the u16 words 55432 and 55713,
 * which are past GPT-2's 50,257 tokens, so no headerless file of GPT-2's begins with them.
 *
 * @module
 */
import { DataError } from "../errors.ts";
import {
  LLMC_HEADER_WORDS,
  LLMC_MAGIC,
  LLMC_VERSION,
  NPY_MAGIC,
  type ShardFormat,
  TOKEN_BYTES,
} from "./format.ts";

/** Bytes from the beginning of a file that are enough for any header that is accepted. */
export const HEAD_BYTES = 4096;

/** Where a file's tokens lie. */
export interface ShardHeader {
  /** How it is written. */
  readonly format: ShardFormat;
  /** Tokens in it. */
  readonly count: number;
  /** Bytes before the first one. */
  readonly offset: number;
}

/** What to do with a file that is damaged. */
export const REPLACE_FILE = "download or write this file again";

/** llm.c's other files, by the first word. */
const OTHER_MAGICS: Readonly<Record<number, string>> = {
  20_240_326: "a model of llm.c's, no tokens",
  20_240_327: "a debug state of llm.c's, no tokens",
  20_240_522: "an evaluation file of llm.c's, no shard",
  20_240_527: "an optimizer state of llm.c's, no tokens",
  20_240_801: "tokens of LLaMA 3 (llm.c's version 7, 32 bits each)",
};

/**
 * Header of a token file.
 *
 * @param path Its name, for messages; `.npy` or `.bin` at the end says which format it must have.
 * @param head The file's first bytes: all, or at least {@link HEAD_BYTES}.
 * @param size Bytes of the whole file.
 * @param headerless Whether a `.bin` may do without a header, as nanoGPT's do.
 * @throws {DataError} when it is another kind of file, or its size is not the header's.
 */
export function parseShardHeader(
  path: string,
  head: Uint8Array,
  size: number,
  headerless: boolean,
): ShardHeader {
  if (size === 0) throw new DataError(path, "the file is empty", REPLACE_FILE);
  const header = path.endsWith(".npy") ? npyHeader(path, head) : binHeader(path, head, size, headerless);
  const { count, offset, format } = header;
  if (offset + TOKEN_BYTES * count !== size) {
    const room = Math.max(0, (size - offset) / TOKEN_BYTES);
    throw new DataError(
      path,
      format === "raw"
        ? `${size} bytes are no whole number of ${8 * TOKEN_BYTES}-bit tokens`
        : `its header says ${count} tokens, but the file of ${size} bytes holds ${room}`,
      REPLACE_FILE,
    );
  }
  if (count === 0) throw new DataError(path, "holds no tokens", REPLACE_FILE);
  return header;
}

function binHeader(path: string, head: Uint8Array, size: number, headerless: boolean): ShardHeader {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const word = (index: number) => head.length >= 4 * index + 4 ? view.getInt32(4 * index, true) : undefined;
  const magic = word(0);
  const offset = LLMC_HEADER_WORDS * Int32Array.BYTES_PER_ELEMENT;
  if (magic !== undefined && magic in OTHER_MAGICS) {
    throw new DataError(path, `holds ${OTHER_MAGICS[magic]}`, "name files of GPT-2's tokens, 16 bits each");
  }
  if (magic !== LLMC_MAGIC) {
    if (headerless) return rawHeader(path, head, size);
    throw new DataError(
      path,
      `begins with the word ${magic ?? "?"}, and a shard of llm.c's with ${LLMC_MAGIC}`,
      `${REPLACE_FILE}, or call files without a header train.bin and val.bin`,
    );
  }
  if (size < offset) {
    throw new DataError(path, `ends in its header, at byte ${size} of ${offset}`, REPLACE_FILE);
  }
  const version = word(1)!;
  if (version !== LLMC_VERSION) {
    throw new DataError(path, `is of version ${version}, and only ${LLMC_VERSION} is known`, REPLACE_FILE);
  }
  const count = word(2)!;
  if (count < 0) throw new DataError(path, `its header says ${count} tokens`, REPLACE_FILE);
  return { format: "bin", count, offset };
}

function rawHeader(path: string, head: Uint8Array, size: number): ShardHeader {
  if (startsAsNpy(head)) throw new DataError(path, "is a .npy file by its contents", "call it .npy");
  if (holds32BitWords(head)) {
    throw new DataError(path, "holds 32-bit words by its contents", "write its tokens as 16-bit words");
  }
  return { format: "raw", count: Math.floor(size / TOKEN_BYTES), offset: 0 };
}

/** Whether every second word of 16 bits is zero and the others are not: tokens of 32 bits, as other tokenizers' are kept. */
function holds32BitWords(head: Uint8Array): boolean {
  if (head.length < 64) return false;
  const { low, high } = head.reduce(
    (sum, byte, i) => i % 4 < 2 ? { ...sum, low: sum.low | byte } : { ...sum, high: sum.high | byte },
    { low: 0, high: 0 },
  );
  return low > 0 && high === 0;
}

function startsAsNpy(head: Uint8Array): boolean {
  return NPY_MAGIC.every((byte, i) => head[i] === byte);
}

/**
 * NumPy's format, versions 1 to 3: magic, version, the header's length in 2 or 4 bytes, and a Python dict literal padded by
 * spaces.
 */
function npyHeader(path: string, head: Uint8Array): ShardHeader {
  if (!startsAsNpy(head)) throw new DataError(path, "does not begin as a .npy file does", REPLACE_FILE);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const version = head[NPY_MAGIC.length];
  const lengthAt = NPY_MAGIC.length + 2;
  const lengthBytes = version === 1 ? 2 : 4;
  if (version < 1 || version > 3) {
    throw new DataError(path, `is of .npy version ${version}, and 1 to 3 are known`, REPLACE_FILE);
  }
  if (head.length < lengthAt + lengthBytes) throw new DataError(path, "ends in its header", REPLACE_FILE);
  const length = version === 1 ? view.getUint16(lengthAt, true) : view.getUint32(lengthAt, true);
  const start = lengthAt + lengthBytes;
  if (start + length > head.length) {
    throw new DataError(
      path,
      head.length < HEAD_BYTES
        ? "ends in its header"
        : `has a header of ${length} bytes; at most ${HEAD_BYTES - start} are read`,
      REPLACE_FILE,
    );
  }
  const text = new TextDecoder("latin1").decode(head.subarray(start, start + length));
  return { format: "npy", count: npyCount(path, text), offset: start + length };
}

function npyCount(path: string, text: string): number {
  const entries = pythonDict(text);
  const { descr, fortran_order: order, shape } = entries ?? {};
  if (!entries || descr === undefined || order === undefined || shape === undefined) {
    throw new DataError(path, `its header cannot be read (${text.trim().slice(0, 100)})`, REPLACE_FILE);
  }
  if (!/^'[<|=]?u2'$/.test(descr)) {
    throw new DataError(
      path,
      `holds elements of type ${descr}, and tokens are '<u2'`,
      'write it by np.save(path, tokens.astype("<u2"))',
    );
  }
  const [, digits] = /^\((\d{1,15}),\)$/.exec(shape) ?? [];
  if (digits === undefined) {
    throw new DataError(
      path,
      `has the shape ${shape}, and tokens have one dimension`,
      "write tokens.reshape(-1)",
    );
  }
  // In one dimension both orders are the same.
  if (order !== "False" && order !== "True") {
    throw new DataError(path, `its header has the order ${order}`, REPLACE_FILE);
  }
  return Number(digits);
}

/** Entries of a Python dict of strings, booleans and tuples of integers, as NumPy writes it; undefined if it is none. */
function pythonDict(text: string): Partial<Record<string, string>> | undefined {
  const [, inside] = /^\{(.*)\}\s*$/s.exec(text) ?? [];
  if (inside === undefined) return undefined;
  const entry = /\s*(['"])(\w+)\1\s*:\s*(?:(['"])([^'"]*)\3|(True|False)|(\([\d\sL,]*\)))\s*(?:,|$)\s*/y;
  const found: Partial<Record<string, string>> = {};
  while (entry.lastIndex < inside.length) {
    const match = entry.exec(inside);
    if (!match) return undefined;
    const [, , name, , string, boolean, tuple] = match;
    if (Object.hasOwn(found, name)) return undefined;
    found[name] = string !== undefined ? `'${string}'` : boolean ?? tuple.replace(/[\sL]/g, "");
  }
  return found;
}
