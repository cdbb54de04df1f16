/** Folders of small token files for the tests of shards. */
import { join } from "@std/path";
import { type ShardFormat, shardHeader, shardName } from "../../data/shards/format.ts";

/** Tokens that tell where they were: all different up to 50,257 of them. */
export function countingTokens(count: number, first = 0): Uint16Array<ArrayBuffer> {
  return Uint16Array.from({ length: count }, (_, i) => (first + i) % 50_257);
}

/** A token file's bytes. */
export function shardBytes(format: ShardFormat, tokens: Uint16Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const header = shardHeader(format, tokens.length);
  const bytes = new Uint8Array(header.length + tokens.byteLength);
  bytes.set(header);
  bytes.set(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength), header.length);
  return bytes;
}

/** A folder that goes away. */
export class ShardFolder {
  readonly path = Deno.makeTempDirSync({ prefix: "shards" });

  /** Writes a file; gives its path. */
  write(name: string, bytes: Uint8Array): string {
    const path = join(this.path, name);
    Deno.writeFileSync(path, bytes);
    return path;
  }

  /** Writes a set: the first part for validation, the others for training. Raw files: two parts. */
  writeSet(format: ShardFormat, parts: readonly Uint16Array<ArrayBuffer>[], prefix = "edufineweb"): string[] {
    return parts.map((tokens, i) => {
      const raw = i === 0 ? "val.bin" : "train.bin";
      return this.write(format === "raw" ? raw : shardName(prefix, i, format), shardBytes(format, tokens));
    });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
