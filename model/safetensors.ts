/**
 * The safetensors format: eight bytes of header length, a JSON header, the tensors' bytes. Reading trusts nothing: every
 * length, offset and shape is checked before anything is allocated for it.
 *
 * @module
 */
import { isFileProblem } from "./durable_files.ts";

/** Bytes of an element, for every dtype of the format. */
const WIDTHS: ReadonlyMap<unknown, number> = new Map(Object.entries({
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
}));

/** Dtypes that tensors can be read from and written in; on the host they are f32. */
export const TENSOR_DTYPES = ["F32", "F16", "BF16"] as const;
/** One of {@link TENSOR_DTYPES}. */
export type TensorDType = (typeof TENSOR_DTYPES)[number];

/** Headers are at most this long, as in the format's own implementation. */
const MAX_HEADER_BYTES = 100_000_000;

/** A file that is not what it should be. */
export class SafetensorsError extends Error {
  override readonly name = "SafetensorsError";
  /**
   * @param path The file.
   * @param problem What is wrong with it, with the numbers.
   */
  constructor(readonly path: string, readonly problem: string) {
    super(`${path}: ${problem}`);
  }
}

/** A tensor of a file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte in the file, and the number of bytes. */
  readonly offset: number;
  readonly bytes: number;
}

/** A tensor to be written. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** An open file whose header has been checked. */
export class SafetensorsFile implements Disposable {
  private constructor(
    readonly path: string,
    readonly entries: ReadonlyMap<string, TensorEntry>,
    readonly metadata: Readonly<Record<string, string>>,
    readonly file: Deno.FsFile,
  ) {}

  /**
   * Opens a file and checks its header.
   *
   * @throws {SafetensorsError} when it cannot be read, or its header does not describe the file exactly.
   */
  static async open(path: string): Promise<SafetensorsFile> {
    let file: Deno.FsFile | undefined;
    try {
      file = await Deno.open(path);
      const { size } = await file.stat();
      const prefix = await readExactly(path, file, 8);
      const length = new DataView(prefix.buffer).getBigUint64(0, true);
      if (length > BigInt(MAX_HEADER_BYTES)) {
        throw new SafetensorsError(
          path,
          `header of ${length} bytes, at most ${MAX_HEADER_BYTES} are allowed`,
        );
      }
      const headerBytes = Number(length);
      if (8 + headerBytes > size) {
        throw new SafetensorsError(
          path,
          `header of ${headerBytes} bytes in a file of ${size} bytes: truncated`,
        );
      }
      const header = parseHeader(path, await readExactly(path, file, headerBytes));
      const { entries, metadata } = checkHeader(path, header, 8 + headerBytes, size);
      return new SafetensorsFile(path, entries, metadata, file);
    } catch (problem) {
      file?.close();
      if (isFileProblem(problem)) throw new SafetensorsError(path, `cannot be read (${problem.message})`);
      throw problem;
    }
  }

  /**
   * The values of a tensor as f32, whatever its dtype in the file.
   *
   * @throws {SafetensorsError} when there is no such tensor, or its values are no numbers of 16 or 32 bits.
   */
  async read(name: string): Promise<Float32Array<ArrayBuffer>> {
    const entry = this.entries.get(name);
    if (!entry) throw new SafetensorsError(this.path, `has no tensor ${name}`);
    if (!(TENSOR_DTYPES as readonly string[]).includes(entry.dtype)) {
      throw new SafetensorsError(
        this.path,
        `tensor ${name} has dtype ${entry.dtype}, expected ${TENSOR_DTYPES.join(" or ")}`,
      );
    }
    await this.file.seek(entry.offset, Deno.SeekMode.Start);
    return toFloat32(await readExactly(this.path, this.file, entry.bytes), entry.dtype);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.file.close();
  }
}

async function readExactly(path: string, file: Deno.FsFile, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await file.read(bytes.subarray(at));
    if (read === null) throw new SafetensorsError(path, `ends after ${at} of ${count} bytes: truncated`);
    at += read;
  }
  return bytes;
}

function parseHeader(path: string, bytes: Uint8Array): Record<string, unknown> {
  if (bytes[0] !== "{".charCodeAt(0)) throw new SafetensorsError(path, "the header does not begin with {");
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    throw new SafetensorsError(path, "the header is not JSON");
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) {
    throw new SafetensorsError(path, `tensor ${JSON.stringify(repeated)} is there twice`);
  }
  return header as Record<string, unknown>;
}

/** JSON.parse keeps the last of equal keys silently; tensor records are the objects one level deep. */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*:?|[{}]/g)) {
    if (token === "{") depth++;
    else if (token === "}") depth--;
    else if (depth === 1 && token.endsWith(":")) {
      const key = JSON.parse(token.slice(0, -1).trim()) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}

function checkHeader(path: string, header: Record<string, unknown>, start: number, size: number) {
  const entries = new Map<string, TensorEntry>();
  let metadata: Record<string, string> = {};
  const spans: { name: string; from: number; to: number }[] = [];
  for (const [key, value] of Object.entries(header)) {
    if (key === "__metadata__") {
      if (!isTexts(value)) throw new SafetensorsError(path, "__metadata__ must map names to texts");
      metadata = value;
      continue;
    }
    const name = JSON.stringify(key);
    const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
    const width = WIDTHS.get(dtype);
    if (width === undefined) {
      throw new SafetensorsError(
        path,
        `tensor ${name} has the unknown dtype ${JSON.stringify(dtype)}`,
      );
    }
    if (!isCounts(shape)) throw new SafetensorsError(path, `tensor ${name} has no proper shape`);
    if (!isCounts(offsets) || offsets.length !== 2) {
      throw new SafetensorsError(path, `tensor ${name} has no proper offsets`);
    }
    const bytes = checkedProduct([...shape, width]);
    if (bytes === undefined) {
      throw new SafetensorsError(
        path,
        `tensor ${name} of shape [${shape}] has more bytes than can be counted`,
      );
    }
    const [from, to] = offsets;
    if (to - from !== bytes) {
      throw new SafetensorsError(
        path,
        `tensor ${name} of shape [${shape}] needs ${bytes} bytes but has ${to - from}`,
      );
    }
    spans.push({ name, from, to });
    entries.set(key, { name: key, dtype: dtype as string, shape, offset: start + from, bytes });
  }
  spans.sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const { name, from, to } of spans) {
    if (from < end) throw new SafetensorsError(path, `tensor ${name} overlaps another`);
    if (from > end) {
      throw new SafetensorsError(path, `${from - end} bytes before tensor ${name} belong to no tensor`);
    }
    end = to;
  }
  if (start + end !== size) {
    throw new SafetensorsError(path, `the tensors end at byte ${start + end}, the file at ${size}`);
  }
  return { entries, metadata };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === "string");
}

/** The product, or undefined where some product on the way has no exact value. */
function checkedProduct(factors: readonly number[]): number | undefined {
  let product = 1;
  for (const factor of factors) {
    product *= factor;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return product;
}

function toFloat32(bytes: Uint8Array<ArrayBuffer>, dtype: string): Float32Array<ArrayBuffer> {
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  if (dtype === "F16") return new Float32Array(new Float16Array(bytes.buffer));
  const halves = new Uint16Array(bytes.buffer);
  // A bf16 is the upper half of an f32.
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i] << 16;
  return new Float32Array(words.buffer);
}

/** Values of f32 as bytes of a dtype, rounded to the nearest, ties to even. */
function fromFloat32(data: Float32Array, dtype: TensorDType): Uint8Array {
  const view = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    new Uint8Array(buffer, byteOffset, byteLength);
  if (dtype === "F32") return view(data);
  if (dtype === "F16") return view(new Float16Array(data));
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  // The upper half of an f32; a NaN keeps a bit that makes it one.
  return view(Uint16Array.from(words, (word) => {
    if ((word & 0x7fffffff) > 0x7f800000) return word >>> 16 | 0x40;
    return word + 0x7fff + (word >>> 16 & 1) >>> 16;
  }));
}

/**
 * Writes tensors to an open file, in the order given. The caller syncs and closes.
 *
 * @param dtype What they are written in.
 * @throws {RangeError} when two have the same name, or one has another number of values than its shape says.
 */
export async function writeSafetensors(
  file: Deno.FsFile,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
  dtype: TensorDType = "F32",
): Promise<void> {
  const width = WIDTHS.get(dtype)!;
  const header: Record<string, unknown> = { __metadata__: { format: "pt", ...metadata } };
  let at = 0;
  for (const { name, shape, data } of tensors) {
    if (Object.hasOwn(header, name)) throw new RangeError(`tensor ${name} is there twice`);
    if (checkedProduct(shape) !== data.length) {
      throw new RangeError(`tensor ${name} of shape [${shape}] has ${data.length} values`);
    }
    header[name] = { dtype, shape, data_offsets: [at, at + width * data.length] };
    at += width * data.length;
  }
  // Padded with spaces so that the data begins at a multiple of eight, as the format recommends.
  const text = new TextEncoder().encode(JSON.stringify(header));
  const encoded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(" ".charCodeAt(0));
  encoded.set(text);
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(encoded.length), true);
  await writeAll(file, prefix);
  await writeAll(file, encoded);
  for (const { data } of tensors) await writeAll(file, fromFloat32(data, dtype));
}

/** Writes every byte. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
