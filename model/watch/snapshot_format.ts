/**
 * The file of a light snapshot: eight bytes that name the format and its version, the header's length (u32, little endian), the
 * header (JSON), and the sections one after the other, deflated (RFC 1951). What the sections are and how long they must be
 * follows from the header's sizes, so the file says nothing twice. Reading trusts nothing: every size is checked before anything
 * is allocated for it, and the header holds the SHA-256 of everything else.
 *
 * | section | type |
 * |---|---|
 * | attention | u8, square roots of weights in 255ths |
 * | scores, topLogprobs, logprobs, repeatLoss | f16 |
 * | topTokens, sample | u32 |
 * | tensors | f16 |
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type TokenizerName, TOKENIZERS } from "../../data/mod.ts";
import { type ModelConfig, resolveConfig } from "../config.ts";
import { layoutParameters } from "../params.ts";
import { deflate, inflate } from "./deflate.ts";
import { type Observation, SCORES, TOP, triangle } from "./observation.ts";
import { usedSize } from "./probe_program.ts";

/** A snapshot file that cannot be used. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
  /**
   * @param path The file.
   * @param problem What is wrong with it.
   */
  constructor(readonly path: string, readonly problem: string) {
    super(`snapshot ${path}: ${problem}`);
  }
}

/** What a snapshot says of itself besides what was seen. */
export interface SnapshotHead {
  /** Optimizer steps that were done. */
  readonly step: number;
  readonly model: ModelConfig;
  readonly tokenizer: TokenizerName;
  /** Tokens of the prompt. */
  readonly prompt: readonly number[];
  /** Parameters that it holds, by name, in the order in which they lie. */
  readonly tensors: readonly string[];
}

/** A snapshot in memory. */
export interface Snapshot extends SnapshotHead {
  readonly observation: Observation;
}

const MAGIC = new TextEncoder().encode("SINTERS1");
/** Where the header begins. */
const HEADER_AT = MAGIC.length + 4;
/** Headers are at most this long: a hundred tokens and the names of all parameters of the largest model need less. */
const MOST_HEADER_BYTES = 2 ** 20;
/** Tokens of a sample are at most so many. */
const MOST_SAMPLE = 65_536;

/** Deflate makes bytes at most so many times fewer. */
const MOST_RATIO = 1040;

interface Section {
  readonly name: keyof Observation;
  readonly type: "u8" | "f16" | "u32";
  readonly length: number;
}

const WIDTHS = { u8: 1, f16: 2, u32: 4 } as const;

/** Sizes from which the sections' lengths follow. */
export interface SectionSizes {
  readonly model: ModelConfig;
  /** Tokens of the prompt. */
  readonly prompt: number;
  /** Tokens of the sample. */
  readonly sample: number;
  /** Parameters, by name. */
  readonly tensors: readonly string[];
}

/** Every section, in the order of the file. */
function sectionsOf({ model, prompt, sample, tensors }: SectionSizes): Section[] {
  const heads = model.layers * model.heads;
  const top = Math.min(TOP, model.vocabulary);
  const chosen = new Set(tensors);
  const elements = chosen.size === 0
    ? 0
    : layoutParameters(model).parameters.filter(({ name }) => chosen.has(name))
      .reduce((sum, parameter) => sum + usedSize(parameter), 0);
  return [
    { name: "attention", type: "u8", length: heads * triangle(prompt) },
    { name: "scores", type: "f16", length: heads * SCORES.length },
    { name: "topTokens", type: "u32", length: prompt * top },
    { name: "topLogprobs", type: "f16", length: prompt * top },
    { name: "logprobs", type: "f16", length: prompt - 1 },
    { name: "repeatLoss", type: "f16", length: 2 },
    { name: "sample", type: "u32", length: sample },
    { name: "tensors", type: "f16", length: elements },
  ];
}

/** Bytes of all sections before compression. */
export function sectionBytes(sizes: SectionSizes): number {
  return sectionsOf(sizes).reduce((sum, { type, length }) => sum + WIDTHS[type] * length, 0);
}

/** A bound of the file's bytes: compression cannot make them many more. */
export function mostFileBytes(sizes: SectionSizes): number {
  const body = sectionBytes(sizes);
  const header = 1024 + 8 * sizes.prompt + sizes.tensors.reduce((sum, name) => sum + name.length + 4, 0);
  return HEADER_AT + header + Math.ceil(body * 1.001) + 64;
}

/** The bytes of a snapshot's file. */
export async function encodeSnapshot(snapshot: Snapshot): Promise<Uint8Array<ArrayBuffer>> {
  const { observation, ...head } = snapshot;
  const sizes = { ...head, prompt: head.prompt.length, sample: observation.sample.length };
  const body = new Uint8Array(sectionBytes(sizes));
  let at = 0;
  for (const { name, type, length } of sectionsOf(sizes)) {
    const values = observation[name];
    if (values.length !== length) throw new RangeError(`${name} has ${values.length} values, not ${length}`);
    const stored = type === "f16"
      ? new Float16Array(values)
      : type === "u32"
      ? new Uint32Array(values)
      : Uint8Array.from(values);
    body.set(new Uint8Array(stored.buffer), at);
    at += stored.byteLength;
  }
  const packed = await deflate(body);
  const said = { ...head, sample: observation.sample.length };
  const header = new TextEncoder().encode(JSON.stringify({ ...said, sha256: hashOf(said, packed) }));
  const file = new Uint8Array(HEADER_AT + header.length + packed.length);
  file.set(MAGIC);
  new DataView(file.buffer).setUint32(MAGIC.length, header.length, true);
  file.set(header, HEADER_AT);
  file.set(packed, HEADER_AT + header.length);
  return file;
}

/**
 * The snapshot in a file's bytes.
 *
 * @param path The file's name, for messages.
 * @throws {SnapshotError} when they are not a whole snapshot.
 */
export async function decodeSnapshot(path: string, file: Uint8Array<ArrayBuffer>): Promise<Snapshot> {
  const wrong = (problem: string) => new SnapshotError(path, problem);
  if (file.length < HEADER_AT) throw wrong(`${file.length} bytes are no snapshot`);
  if (MAGIC.some((byte, i) => byte !== file[i])) {
    throw wrong("no snapshot, or of another version of this program");
  }
  const headerBytes = new DataView(file.buffer, file.byteOffset).getUint32(MAGIC.length, true);
  const bodyAt = HEADER_AT + headerBytes;
  if (headerBytes > MOST_HEADER_BYTES) throw wrong(`a header of ${headerBytes} bytes`);
  if (bodyAt > file.length) throw wrong("truncated in its header");
  const header = parseJson(wrong, file.subarray(HEADER_AT, bodyAt));
  const packed = file.slice(bodyAt);
  const { head, sample } = parseHeader(wrong, header);
  const { sha256, ...said } = header;
  if (hashOf(said, packed) !== sha256) throw wrong("truncated, or changed after it was written");
  const sizes = { ...head, prompt: head.prompt.length, sample };
  const bytes = sectionBytes(sizes);
  // A header of a few bytes must not make this allocate gigabytes.
  const body = bytes > MOST_RATIO * packed.length ? undefined : await inflate(packed, bytes);
  if (!body) throw wrong("its sections are not those of its header");
  const observation = cutSections(body, sizes);
  const { vocabulary } = head.model;
  for (const name of ["topTokens", "sample"] as const) {
    const outside = observation[name].find((token) => !(token >= 0 && token < vocabulary));
    if (outside !== undefined) throw wrong(`token ${outside} is outside its vocabulary`);
  }
  return { ...head, observation };
}

function cutSections(body: Uint8Array<ArrayBuffer>, sizes: SectionSizes): Observation {
  let at = 0;
  const values = sectionsOf(sizes).map(({ name, type, length }) => {
    const bytes = body.slice(at, at += WIDTHS[type] * length);
    const section = type === "u8"
      ? bytes
      : type === "u32"
      ? new Int32Array(bytes.buffer)
      : Float32Array.from(new Float16Array(bytes.buffer));
    return [name, section] as const;
  });
  return Object.fromEntries(values) as unknown as Observation;
}

/** Of everything in a file but the hash itself. */
function hashOf(said: object, packed: Uint8Array): string {
  return createHash("sha256").update(JSON.stringify(said)).update(packed).digest("hex");
}

type Wrong = (problem: string) => SnapshotError;

function parseJson(wrong: Wrong, bytes: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    throw wrong("its header is no JSON");
  }
}

function parseHeader(
  wrong: Wrong,
  { step, model, tokenizer, prompt, tensors, sample }: Readonly<Record<string, unknown>>,
): { readonly head: SnapshotHead; readonly sample: number } {
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && value as number >= 0;
  if (!isCount(step)) throw wrong("its header has no step");
  const config = parseModel(wrong, model);
  if (!TOKENIZERS.includes(tokenizer as TokenizerName)) throw wrong("its header names no tokenizer");
  const isToken = (value: unknown) => isCount(value) && value < config.vocabulary;
  const fits = Array.isArray(prompt) && prompt.length > 0 && prompt.length <= config.context;
  if (!fits || !prompt.every(isToken)) throw wrong("its header has no prompt of its model's tokens");
  if (!isCount(sample) || sample > MOST_SAMPLE) throw wrong("its header does not tell the sample's length");
  const known = new Set(layoutParameters(config).parameters.map(({ name }) => name));
  const areNames = Array.isArray(tensors) && new Set(tensors).size === tensors.length &&
    tensors.every((name) => known.has(name));
  if (!areNames) throw wrong("its header names tensors that its model does not have");
  return {
    head: { step, model: config, tokenizer: tokenizer as TokenizerName, prompt, tensors },
    sample,
  };
}

/** Largest vocabulary that a header may name. */
const MOST_TOKENS = 2 ** 24;

function parseModel(wrong: Wrong, model: unknown): ModelConfig {
  const { layers, width, heads, context, vocabulary } = Object(model) as Record<string, unknown>;
  const sizes = { layers, width, heads, context, vocabulary } as unknown as ModelConfig;
  const isWhole = Object.values(sizes).every((size) => Number.isInteger(size) && size > 0);
  try {
    if (isWhole && sizes.vocabulary <= MOST_TOKENS) return resolveConfig("nano", sizes);
  } catch {
    // Said below.
  }
  throw wrong("its header has no sizes of a model");
}
