/** A folder is a whole set or it is refused: a lost or half-written file must not go unnoticed. */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { DataError } from "../../data/errors.ts";
import { inspectShards } from "../../data/shards/inspect.ts";
import { identifySet, readShardSet } from "../../data/shards/shard_set.ts";
import { countingTokens, shardBytes, ShardFolder } from "./shard_files.ts";

const parts = [1, 2, 3, 4].map((i) => countingTokens(1000 + i, 1000 * i));

async function refused(folder: string, ...words: string[]): Promise<void> {
  const { message } = await assertRejects(() => readShardSet(folder), DataError);
  assert(!message.includes("\n"), message);
  for (const word of words) assert(message.includes(word), `${message} does not mention ${word}`);
}

Deno.test("the three published layouts are recognised, files in the order of their numbers", async () => {
  for (const format of ["npy", "bin", "raw"] as const) {
    using folder = new ShardFolder();
    folder.writeSet(format, format === "raw" ? parts.slice(0, 2) : parts);
    folder.write("manifest.txt", new Uint8Array(3));
    Deno.mkdirSync(join(folder.path, "parquet"));
    const set = await readShardSet(folder.path);
    assertEquals(set.format, format);
    assertEquals(set.validation.map(({ header }) => header.count), [1001]);
    assertEquals(set.train.map(({ header }) => header.count), format === "raw" ? [1002] : [1002, 1003, 1004]);
  }
});

Deno.test("nanoGPT's names with llm.c's header, and llm.c's names without numbers, are llm.c's", async () => {
  using folder = new ShardFolder();
  folder.write("train.bin", shardBytes("bin", parts[0]));
  folder.write("val.bin", shardBytes("bin", parts[1]));
  assertEquals((await readShardSet(folder.path)).format, "bin");
  using other = new ShardFolder();
  other.write("TinyStories_train.bin", shardBytes("bin", parts[0]));
  other.write("TinyStories_val.bin", shardBytes("bin", parts[1]));
  assertEquals((await readShardSet(other.path)).train[0].header, {
    format: "bin",
    count: 1001,
    offset: 1024,
  });
});

Deno.test("folders that hold no whole set are refused by what is missing", async () => {
  using folder = new ShardFolder();
  const remove = (name: string) => Deno.removeSync(join(folder.path, name));
  await refused("", "names no folder");
  await refused(join(folder.path, "none"), "does not exist");
  await refused(folder.path, "no token files", "edufineweb_train_000001.npy");
  folder.writeSet("npy", parts);
  remove("edufineweb_val_000000.npy");
  await refused(folder.path, "no file for validation");
  folder.writeSet("npy", parts);
  remove("edufineweb_train_000002.npy");
  await refused(folder.path, "number 2 is missing", "edufineweb_train_000003.npy");
  remove("edufineweb_train_000001.npy");
  await refused(folder.path, "numbers 1 to 2 are missing");
  remove("edufineweb_train_000003.npy");
  await refused(folder.path, "no file for training");
});

Deno.test("unfinished files, two sets and two files of one number are refused by name", async () => {
  for (
    const name of [
      "edufineweb_train_000004.npy.part",
      "edufineweb_train_000004.npy.1234.tmp",
      "val.bin.crdownload",
    ]
  ) {
    using folder = new ShardFolder();
    folder.writeSet("npy", parts);
    folder.write(name, new Uint8Array(10));
    await refused(folder.path, name, "unfinished");
  }
  using folder = new ShardFolder();
  folder.writeSet("npy", parts);
  folder.write("edufineweb_train_1.npy", shardBytes("npy", parts[0]));
  await refused(folder.path, "edufineweb_train_1.npy", "same number");
  Deno.removeSync(join(folder.path, "edufineweb_train_1.npy"));
  folder.writeSet("bin", parts);
  await refused(folder.path, "two sets", ".npy", ".bin");
  using mixed = new ShardFolder();
  mixed.write("train.bin", shardBytes("raw", parts[0]));
  mixed.write("val.bin", shardBytes("bin", parts[1]));
  await refused(mixed.path, "train.bin is of the format raw", "val.bin of bin");
});

Deno.test("a set's identity follows its contents, not the place of the folder", async () => {
  using a = new ShardFolder();
  using b = new ShardFolder();
  a.writeSet("npy", parts);
  const [, path] = b.writeSet("npy", parts);
  const identity = async (folder: ShardFolder) => await identifySet(await readShardSet(folder.path));
  const first = await identity(a);
  assert(first.startsWith("4010 tokens in 4 npy files, sha256 "), first);
  assertEquals(await identity(b), first);
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - 1] ^= 1;
  Deno.writeFileSync(path, bytes);
  assertNotEquals(await identity(b), first);
});

Deno.test("an inspection tells of every damaged file, and a deep one of damage inside", async () => {
  using folder = new ShardFolder();
  const paths = folder.writeSet("npy", parts);
  const good = await inspectShards(folder.path);
  assertEquals([good.problems, good.trainTokens, good.validationTokens], [[], 3009, 1001]);
  const sums = await inspectShards(folder.path, { deep: true });
  assertEquals(sums.files.map(({ sha256 }) => sha256?.length), [64, 64, 64, 64]);

  Deno.truncateSync(paths[1], 500);
  const bad = Deno.readFileSync(paths[3]);
  bad.set([255, 255], 128 + 2 * 70);
  Deno.writeFileSync(paths[3], bad);
  const shallow = await inspectShards(folder.path);
  assertEquals(shallow.problems.length, 1);
  assert(shallow.problems[0].includes("edufineweb_train_000001.npy"), shallow.problems[0]);
  let last = { name: "", bytes: 0, totalBytes: 0 };
  const deep = await inspectShards(folder.path, { deep: true, onProgress: (progress) => last = progress });
  assertEquals(deep.problems.length, 2);
  assert(deep.problems[1].includes("token 70 is 65535"), deep.problems[1]);
  assertEquals(deep.trainTokens, 1003);
  assertEquals(last.name, "edufineweb_val_000000.npy");
});

Deno.test("a deep inspection compares files with the manifest's sums and counts", async () => {
  using folder = new ShardFolder();
  const [path] = folder.writeSet("bin", parts);
  const { files } = await inspectShards(folder.path, { deep: true });
  const manifest = (changes: Record<string, unknown> = {}) => {
    const shards = files.map(({ name, tokens, sha256 }) => ({
      name,
      tokens,
      sha256,
      ...name === files[0].name && changes,
    }));
    folder.write("manifest.json", new TextEncoder().encode(JSON.stringify({ shards })));
  };
  manifest();
  assertEquals((await inspectShards(folder.path, { deep: true })).problems, []);
  const bytes = Deno.readFileSync(path);
  bytes[2000] ^= 1;
  Deno.writeFileSync(path, bytes);
  assertEquals((await inspectShards(folder.path)).problems, []);
  const { problems } = await inspectShards(folder.path, { deep: true });
  assert(
    problems.length === 1 && problems[0].includes("SHA-256") && problems[0].includes("val_000000"),
    problems[0],
  );
  manifest({ tokens: 5 });
  assert((await inspectShards(folder.path)).problems[0].includes("manifest says 5"));
  manifest({ name: "edufineweb_train_000009.bin" });
  assert(
    (await inspectShards(folder.path)).problems[0].includes(
      "edufineweb_train_000009.bin, which is not there",
    ),
  );
  folder.write("manifest.json", new TextEncoder().encode("{"));
  await assertRejects(() => inspectShards(folder.path), DataError, "manifest.json");
});

Deno.test("an inspection that is told to end ends with the signal's reason", async () => {
  using folder = new ShardFolder();
  folder.writeSet("bin", parts);
  const stop = new AbortController();
  const reason = new Error("enough");
  const inspected = inspectShards(folder.path, {
    deep: true,
    signal: stop.signal,
    onProgress: () => stop.abort(reason),
  });
  assertEquals(await assertRejects(() => inspected), reason);
});
