/**
 * One shard while it is written. It lies in `NAME.part` until its last token is there, and then gets its name.
 *
 * @module
 */
import { dirname, join } from "@std/path";
import { sumFile, syncFolder } from "../durable.ts";
import { shardHeader, shardName, TOKEN_BYTES } from "../shards/format.ts";
import type { BuildFacts, ShardRecord } from "./manifest.ts";

/** A shard that tokens are added to. */
export class ShardWriter {
  readonly #path: string;
  readonly #header: number;

  private constructor(
    private readonly facts: BuildFacts,
    folder: string,
    private readonly index: number,
    private readonly file: Deno.FsFile,
    private count: number,
  ) {
    this.#path = join(folder, shardName(facts.prefix, index, facts.format));
    this.#header = headerBytes(facts);
  }

  /**
   * Opens a shard's part with the tokens that it is known to have; what lies behind them is cut off.
   *
   * @returns undefined when the part does not have them.
   */
  static async open(
    facts: BuildFacts,
    folder: string,
    index: number,
    tokens: number,
  ): Promise<ShardWriter | undefined> {
    const path = `${join(folder, shardName(facts.prefix, index, facts.format))}.part`;
    const file = await Deno.open(path, { create: true, write: true });
    const kept = tokens === 0 ? 0 : headerBytes(facts) + TOKEN_BYTES * tokens;
    if ((await file.stat()).size < kept) {
      file.close();
      return undefined;
    }
    await file.truncate(kept);
    if (tokens === 0) writeAll(file, shardHeader(facts.format, facts.shardTokens));
    await file.seek(0, Deno.SeekMode.End);
    return new ShardWriter(facts, folder, index, file, tokens);
  }

  /** Tokens in it. */
  get tokens(): number {
    return this.count;
  }

  /** Whether no more tokens belong to it. */
  get isFull(): boolean {
    return this.count === this.facts.shardTokens;
  }

  /** Adds as many tokens as belong to it; gives their number. */
  add(tokens: Uint16Array<ArrayBuffer>): number {
    const taken = tokens.subarray(0, this.facts.shardTokens - this.count);
    writeAll(this.file, new Uint8Array(taken.buffer, taken.byteOffset, taken.byteLength));
    this.count += taken.length;
    return taken.length;
  }

  /** Waits until its tokens are on the disk. */
  async sync(): Promise<void> {
    await this.file.sync();
  }

  /** Gives it its header and its name. */
  async finish(): Promise<ShardRecord> {
    const { format, prefix } = this.facts;
    const header = shardHeader(format, this.count);
    if (header.length !== this.#header) throw new Error(`a header of ${header.length} bytes does not fit`);
    await this.file.seek(0, Deno.SeekMode.Start);
    writeAll(this.file, header);
    await this.file.sync();
    this.file.close();
    const sum = await sumFile(`${this.#path}.part`);
    await Deno.rename(`${this.#path}.part`, this.#path);
    await syncFolder(dirname(this.#path));
    const name = shardName(prefix, this.index, format);
    return { name, split: this.index === 0 ? "val" : "train", tokens: this.count, ...sum };
  }

  /** Removes it. */
  async discard(): Promise<void> {
    this.file.close();
    await Deno.remove(`${this.#path}.part`);
  }

  /** Leaves it as it is. */
  close(): void {
    this.file.close();
  }
}

function headerBytes({ format, shardTokens }: BuildFacts): number {
  return shardHeader(format, shardTokens).length;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
