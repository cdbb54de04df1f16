/** Files of three formats come from anywhere: each must be read as its writer meant it, or refused by name. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DataError } from "../../data/errors.ts";
import { LLMC_MAGIC, type ShardFormat } from "../../data/shards/format.ts";
import { HEAD_BYTES, parseShardHeader } from "../../data/shards/read_header.ts";
import { ShardFile } from "../../data/shards/shard_file.ts";
import { Prng } from "../support/prng.ts";
import { countingTokens, shardBytes, ShardFolder } from "./shard_files.ts";

const NAMES: Record<ShardFormat, string> = {
  npy: "a_train_000001.npy",
  bin: "a_train_000001.bin",
  raw: "train.bin",
};
const tokens = countingTokens(3000);

function parse(name: string, bytes: Uint8Array) {
  return parseShardHeader(name, bytes.subarray(0, HEAD_BYTES), bytes.length, name === "train.bin");
}

function refused(name: string, bytes: Uint8Array, ...words: string[]): void {
  const { message } = assertThrows(() => parse(name, bytes), DataError);
  assert(message.startsWith(`${name}: `) && !message.includes("\n"), message);
  for (const word of words) assert(message.includes(word), `${message} does not mention ${word}`);
}

/** A .npy file with this dict. */
function npy(dict: string, version = 1, data = new Uint8Array(8)): Uint8Array {
  const text = new TextEncoder().encode(dict + "\n");
  const length = version === 1
    ? [text.length & 255, text.length >> 8]
    : [text.length & 255, text.length >> 8, 0, 0];
  return Uint8Array.from([
    0x93,
    ...new TextEncoder().encode("NUMPY"),
    version,
    0,
    ...length,
    ...text,
    ...data,
  ]);
}

for (const format of ["npy", "bin", "raw"] as const) {
  Deno.test(`${format}: count and tokens come back as they were written`, () => {
    using folder = new ShardFolder();
    const bytes = shardBytes(format, tokens);
    const header = parse(NAMES[format], bytes);
    assertEquals([header.format, header.count], [format, tokens.length]);
    const file = new ShardFile(folder.write(NAMES[format], bytes), header, 50_257);
    assertEquals(file.read(0, 3000), tokens);
    assertEquals(file.read(2990, 10), tokens.subarray(2990));
    assertEquals(file.read(7, 3), tokens.subarray(7, 10));
    file.close();
  });

  Deno.test(`${format}: a file that was cut or has grown is refused, or its last tokens were garbage`, () => {
    const bytes = shardBytes(format, tokens);
    const longer = Uint8Array.from([...bytes, 1]);
    const wanted = format === "raw" ? "no whole number" : "says 3000 tokens";
    refused(NAMES[format], bytes.subarray(0, bytes.length - 1), wanted);
    refused(NAMES[format], longer, wanted);
    refused(NAMES[format], new Uint8Array(), "empty");
    if (format !== "raw") refused(NAMES[format], bytes.subarray(0, bytes.length - 2), wanted);
    if (format !== "raw") {
      refused(NAMES[format], bytes.subarray(0, 60), format === "npy" ? "header" : "byte 60");
    }
  });
}

Deno.test("NumPy's own files are read, in both versions, and its other arrays refused with what to call instead", () => {
  using folder = new ShardFolder();
  const read = (name: string) => Deno.readFileSync(new URL(`numpy/${name}.npy`, import.meta.url));
  for (const name of ["version1", "version2"]) {
    const bytes = read(name);
    const header = parse(`${name}.npy`, bytes);
    assertEquals(header, { format: "npy", count: 600, offset: 128 });
    const file = new ShardFile(folder.write(`${name}.npy`, bytes), header, 50_257);
    assertEquals(file.read(0, 600), Uint16Array.from({ length: 600 }, (_, i) => i * 7919 % 50257));
    file.close();
  }
  refused("two.npy", read("two_dimensions"), "(2,4)", "one dimension", "reshape(-1)");
  refused("big.npy", read("big_endian"), "'>u2'", "astype");
  refused("int64.npy", read("int64"), "'<i8'", "astype");
});

Deno.test("NumPy's header is read whatever its order, quotes and spaces", () => {
  const header = (dict: string, version?: number) => parse("a.npy", npy(dict, version)).count;
  assertEquals(header("{'descr': '<u2', 'fortran_order': False, 'shape': (4,), }"), 4);
  assertEquals(header("{'shape': (4,), 'fortran_order': True, 'descr': '|u2'}", 2), 4);
  assertEquals(header('{"descr":"<u2","fortran_order":False,"shape":( 4L , )}   ', 3), 4);
});

Deno.test("a .npy header that is damaged or means something else is refused", () => {
  refused(
    "a.npy",
    npy("{'descr': '<u2', 'fortran_order': False, 'shape': (5,), }"),
    "says 5 tokens",
    "holds 4",
  );
  refused("a.npy", npy("{'descr': '<u2', 'fortran_order': False, 'shape': (), }"), "shape ()");
  refused(
    "a.npy",
    npy("{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
    "shape",
  );
  refused("a.npy", npy("{'descr': '<u2', 'fortran_order': False}"), "cannot be read");
  refused("a.npy", npy("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (4,)}"), "cannot be read");
  refused(
    "a.npy",
    npy("{'descr': '<u2', 'descr': '<u2', 'fortran_order': False, 'shape': (4,)}"),
    "cannot be read",
  );
  refused("a.npy", npy("__import__('os')"), "cannot be read");
  refused(
    "a.npy",
    npy("{'descr': '<u2', 'fortran_order': False, 'shape': (0,), }", 1, new Uint8Array()),
    "no tokens",
  );
  refused("a.npy", npy("{}", 4), "version 4");
  refused("a.npy", shardBytes("bin", tokens), "does not begin as a .npy");
  const long = npy("{}", 2);
  long.set([255, 255, 255, 255], 8);
  refused("a.npy", long, "header");
  refused("a.npy", Uint8Array.from([...long, ...new Uint8Array(5000)]), "4294967295 bytes", "at most");
});

Deno.test("llm.c's other files and other versions are told by name, not read as tokens", () => {
  const words = (...values: number[]) => {
    const bytes = shardBytes("bin", tokens);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => view.setInt32(4 * i, value, true));
    return bytes;
  };
  for (const name of [NAMES.bin, NAMES.raw]) {
    refused(name, words(20_240_801, 7), "LLaMA 3");
    refused(name, words(20_240_522, 1), "evaluation");
    refused(name, words(20_240_326, 3), "model");
    refused(name, words(LLMC_MAGIC, 2), "version 2");
    refused(name, words(LLMC_MAGIC, 1, -1), "-1 tokens");
    refused(name, words(LLMC_MAGIC, 1, 2 ** 31 - 1), "2147483647");
  }
  refused(NAMES.bin, words(20_240_521), "20240521", "20240520");
  refused(NAMES.bin, shardBytes("raw", tokens), "20240520", "train.bin");
});

Deno.test("a headerless file that is no file of 16-bit tokens is refused, as far as its contents tell", () => {
  refused("train.bin", shardBytes("npy", tokens), "is a .npy");
  refused("train.bin", new Uint8Array(Uint32Array.from(tokens).buffer), "32-bit");
});

Deno.test("a token past the vocabulary is named with file, position and value", () => {
  using folder = new ShardFolder();
  const bad = tokens.slice();
  bad[1234] = 50_257;
  const path = folder.write("train.bin", shardBytes("raw", bad));
  const file = new ShardFile(path, { format: "raw", count: 3000, offset: 0 }, 50_257);
  assertEquals(file.read(1235, 5), bad.subarray(1235, 1240));
  const { message } = assertThrows(() => file.read(1200, 100), DataError);
  assert(message.startsWith(`${path}: token 1234 is 50257`), message);
  file.close();
});

Deno.test("a file that becomes shorter or vanishes while a run reads it is named", () => {
  using folder = new ShardFolder();
  const path = folder.write("train.bin", shardBytes("raw", tokens));
  const header = { format: "raw", count: 3000, offset: 0 } as const;
  const file = new ShardFile(path, header, 50_257);
  Deno.truncateSync(path, 4000);
  assertThrows(() => file.read(1990, 20), DataError, "shorter");
  file.close();
  Deno.removeSync(path);
  assertThrows(() => new ShardFile(path, header, 50_257), DataError, "does not exist");
});

Deno.test("headers with any bytes changed are read or refused in one line, and never read past the file", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Prng(seed);
  for (const format of ["npy", "bin", "raw"] as const) {
    const good = shardBytes(format, countingTokens(100));
    for (let round = 0; round < 2000; round++) {
      const bytes = good.slice(0, random.chance(0.125) ? random.integer(0, good.length) : good.length);
      for (let i = random.integer(0, 4); i > 0 && bytes.length > 0; i--) {
        bytes[random.integer(0, Math.min(bytes.length, 160) - 1)] = random.integer(0, 255);
      }
      try {
        const { count, offset } = parse(NAMES[format], bytes);
        assertEquals(offset + 2 * count, bytes.length, `seed ${seed}`);
      } catch (problem) {
        assert(problem instanceof DataError, `seed ${seed}: ${problem}`);
      }
    }
  }
});
