/**
 * Builds a folder of token shards from files of documents. `<|endoftext|>` stands before each document, documents go on in the
 * next shard where one is full, the first shard is for validation, and the last one is as long as it comes out. The bytes
 * follow from the inputs and the settings alone, not from the number of Workers or from where a build was ended and went on.
 *
 * Every shard's end, every input's end and a moment now and then are made durable: tokens first, then `progress.json`, which
 * says where the next token is. What was written after that is cut off and made again.
 *
 * @module
 */
import { join } from "@std/path";
import { createHash } from "node:crypto";
import { DataError } from "../errors.ts";
import { loadTokenizer } from "../tokenizer.ts";
import type { BuildInput, OpenInput } from "./input.ts";
import {
  type BuildFacts,
  type DatasetFacts,
  type Manifest,
  MANIFEST_FILE,
  readManifest,
  writeManifest,
} from "./manifest.ts";
import {
  type BuildProgress,
  type Place,
  PROGRESS_FILE,
  readProgress,
  requireSame,
  writeProgress,
} from "./progress.ts";
import { ShardWriter } from "./shard_writer.ts";
import { TokenizePool } from "./tokenize_pool.ts";

/** What is built. */
export interface BuildPlan {
  /** Where the shards go. */
  readonly folder: string;
  /** Where the documents come from, for the manifest. */
  readonly dataset: DatasetFacts;
  /** Files of documents, in their order. */
  readonly inputs: readonly BuildInput[];
  /** Of the shards. */
  readonly format: BuildFacts["format"];
  /** The names of the shards begin with it. */
  readonly prefix: string;
  /** Tokens of every shard but the last. */
  readonly shardTokens: number;
}

/** How far a build is. */
export interface BuildReport {
  /** All tokens so far, of this process and those before it. */
  readonly tokens: number;
  /** All documents so far. */
  readonly documents: number;
  /** Bytes of the inputs that are read. */
  readonly readBytes: number;
  /** Bytes of all inputs. */
  readonly totalBytes: number;
  /** Finished shards. */
  readonly shards: number;
}

/** How it is built. */
export interface BuildOptions {
  /** Threads that tokenize. */
  readonly workers: number;
  /** Ends the build; what is done stays. */
  readonly signal?: AbortSignal;
  /** Told how far it is, after each unit. */
  readonly onProgress?: (report: BuildReport) => void;
  /** Milliseconds between two moments at which a shard's part is made durable; 20 s by default. */
  readonly durableMs?: number;
}

const START: Place = { input: 0, unit: 0, skip: 0, documents: 0 };
const LOCK_FILE = "build.lock";

/**
 * Builds the shards, or goes on with them. A folder that is finished is left as it is.
 *
 * @returns The folder's manifest.
 * @throws {DataError} when an input cannot be used, or the folder holds something else.
 */
export async function buildShards(plan: BuildPlan, options: BuildOptions): Promise<Manifest> {
  const facts = await factsOf(plan);
  const finished = await readManifest(plan.folder);
  if (finished) {
    // Sums that were not known beforehand cannot be compared without reading the files again.
    const files = finished.files.map((file, i) =>
      facts.files[i]?.sha256 === undefined ? { name: file.name, bytes: file.bytes } : file
    );
    requireSame(join(plan.folder, MANIFEST_FILE), { ...finished, files }, facts);
    await requireShards(plan.folder, finished);
    return finished;
  }
  await Deno.mkdir(plan.folder, { recursive: true });
  const lock = join(plan.folder, LOCK_FILE);
  using locked = await Deno.open(lock, { create: true, write: true });
  if (!await locked.tryLock(true)) {
    throw new DataError(plan.folder, "another process builds in it", "let that one go on, or end it");
  }
  const manifest = await new Build(plan, facts, options).run();
  await Deno.remove(lock);
  return manifest;
}

async function factsOf({ dataset, inputs, format, prefix, shardTokens }: BuildPlan): Promise<BuildFacts> {
  const { name, vocabularySize, endOfText, file } = await loadTokenizer("gpt2");
  return {
    dataset,
    files: inputs.map(({ name, bytes, sha256 }) => ({ name, bytes, ...sha256 !== undefined && { sha256 } })),
    tokenizer: {
      name,
      vocabulary: vocabularySize,
      sha256: createHash("sha256").update(file()).digest("hex"),
      separator: endOfText!,
    },
    format,
    prefix,
    shardTokens,
  };
}

async function requireShards(folder: string, { shards }: Manifest): Promise<void> {
  for (const { name, bytes } of shards) {
    const size = await Deno.stat(join(folder, name)).then(({ size }) => size, () => undefined);
    if (size === bytes) continue;
    const problem = size === undefined ? "is missing" : `has ${size} bytes, not ${bytes}`;
    throw new DataError(
      join(folder, name),
      problem,
      `remove ${join(folder, MANIFEST_FILE)} to build it anew`,
    );
  }
}

class Build {
  readonly #totalBytes: number;
  #progress: BuildProgress;
  #writer: ShardWriter | undefined;
  /** Place of the next token, which may not be durable yet. */
  #next: Place = START;
  #savedAt = performance.now();
  #released = 0;

  constructor(
    private readonly plan: BuildPlan,
    facts: BuildFacts,
    private readonly options: BuildOptions,
  ) {
    this.#totalBytes = plan.inputs.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#progress = { facts, inputs: {}, shards: [], begun: START, next: START, tokens: 0 };
  }

  async run(): Promise<Manifest> {
    const { folder } = this.plan;
    const { facts } = this.#progress;
    this.#progress = await readProgress(folder, facts) ?? this.#progress;
    await this.#openShard();
    try {
      await this.#tokenize();
      return await this.#end();
    } catch (problem) {
      // What is done stays done; the reason to stop matters more than whether that works.
      if (this.#writer) await this.#save().catch(() => {});
      throw problem;
    } finally {
      this.#writer?.close();
    }
  }

  /** The shard that is not finished: with its durable tokens, or from its beginning if they are lost. */
  async #openShard(): Promise<void> {
    const { folder } = this.plan;
    const { facts, shards, tokens, begun } = this.#progress;
    this.#writer = await ShardWriter.open(facts, folder, shards.length, tokens);
    if (!this.#writer) {
      this.#progress = { ...this.#progress, next: begun, tokens: 0 };
      this.#writer = await ShardWriter.open(facts, folder, shards.length, 0);
    }
    this.#next = this.#progress.next;
  }

  async #tokenize(): Promise<void> {
    const { workers, signal } = this.options;
    const { name, separator } = this.#progress.facts.tokenizer;
    const { input, unit, skip } = this.#next;
    let first = skip;
    using pool = new TokenizePool(workers, name, separator);
    for await (const { tokens, count, place } of pool.run(this.#units(input, unit))) {
      if (place.input > this.#next.input) {
        this.#next = { ...this.#next, input: place.input, unit: place.unit, skip: 0 };
        await this.#save();
      }
      await this.#add(tokens, first);
      first = 0;
      const { documents } = this.#next;
      this.#next = { input: place.input, unit: place.unit + 1, skip: 0, documents: documents + count };
      this.#report(place.input, place.done);
      signal?.throwIfAborted();
      if (performance.now() - this.#savedAt > (this.options.durableMs ?? 20_000)) await this.#save();
    }
  }

  /** What is still to be read, in order. */
  async *#units(input: number, unit: number) {
    const { signal } = this.options;
    for (let from = unit; input < this.plan.inputs.length; input++, from = 0) {
      signal?.throwIfAborted();
      const opened = await this.#open(input);
      let number = from;
      for await (const { documents, done } of opened.units(from)) {
        signal?.throwIfAborted();
        yield { documents, place: { input, unit: number++, done } };
      }
    }
  }

  async #open(index: number): Promise<OpenInput> {
    const input = this.plan.inputs[index];
    const opened = await input.open(this.options.signal);
    const { bytes, sha256 } = opened.sum;
    const expected = this.#progress.inputs[index] ?? input;
    if (bytes !== expected.bytes || sha256 !== (expected.sha256 ?? sha256)) {
      throw new DataError(
        input.name,
        bytes === expected.bytes
          ? "has another checksum than expected"
          : `has ${bytes} bytes, not ${expected.bytes}`,
        "put the right file there, or take another --out for this one",
      );
    }
    const record = { name: input.name, bytes, sha256 };
    this.#progress = { ...this.#progress, inputs: { ...this.#progress.inputs, [index]: record } };
    return opened;
  }

  /** Puts a unit's tokens from `at` on into the shards. */
  async #add(tokens: Uint16Array<ArrayBuffer>, at: number): Promise<void> {
    while (at < tokens.length) {
      at += this.#writer!.add(tokens.subarray(at));
      if (!this.#writer!.isFull) continue;
      this.#next = { ...this.#next, skip: at };
      await this.#finishShard();
      this.#writer = await ShardWriter.open(
        this.#progress.facts,
        this.plan.folder,
        this.#progress.shards.length,
        0,
      );
    }
  }

  async #finishShard(): Promise<void> {
    const shard = await this.#writer!.finish();
    this.#writer = undefined;
    this.#progress = {
      ...this.#progress,
      shards: [...this.#progress.shards, shard],
      begun: this.#next,
      next: this.#next,
      tokens: 0,
    };
    await this.#write();
  }

  /** Makes the part durable. */
  async #save(): Promise<void> {
    await this.#writer!.sync();
    this.#progress = { ...this.#progress, next: this.#next, tokens: this.#writer!.tokens };
    await this.#write();
  }

  async #write(): Promise<void> {
    await writeProgress(this.plan.folder, this.#progress);
    this.#savedAt = performance.now();
    for (; this.#released < this.#progress.next.input; this.#released++) {
      await this.plan.inputs[this.#released].release?.();
    }
  }

  #report(input: number, done: number): void {
    const before = this.plan.inputs.slice(0, input).reduce((sum, { bytes }) => sum + bytes, 0);
    this.options.onProgress?.({
      tokens: sumTokens(this.#progress.shards) + (this.#writer?.tokens ?? 0),
      documents: this.#next.documents,
      readBytes: before + done * this.plan.inputs[input].bytes,
      totalBytes: this.#totalBytes,
      shards: this.#progress.shards.length,
    });
  }

  async #end(): Promise<Manifest> {
    const { folder, inputs } = this.plan;
    this.#next = { ...this.#next, input: inputs.length, unit: 0 };
    const rest = this.#writer!.tokens;
    if (rest > 0 && this.#progress.shards.length > 0) await this.#finishShard();
    else {
      await this.#writer!.discard();
      this.#writer = undefined;
    }
    if (this.#progress.shards.length < 2) {
      await Deno.remove(join(folder, PROGRESS_FILE)).catch(() => {});
      const tokens = sumTokens(this.#progress.shards) + rest;
      throw new DataError(
        folder,
        `all ${tokens} tokens go into the first shard, which is for validation`,
        "take more files or a smaller --shard-tokens",
      );
    }
    const { facts, shards, inputs: records } = this.#progress;
    const files = inputs.map((_, index) => records[index]);
    const { documents } = this.#next;
    const manifest: Manifest = { version: 1, ...facts, files, documents, tokens: sumTokens(shards), shards };
    await writeManifest(folder, manifest);
    await Deno.remove(join(folder, PROGRESS_FILE));
    for (; this.#released < inputs.length; this.#released++) await inputs[this.#released].release?.();
    return manifest;
  }
}

function sumTokens(shards: readonly { readonly tokens: number }[]): number {
  return shards.reduce((sum, { tokens }) => sum + tokens, 0);
}
