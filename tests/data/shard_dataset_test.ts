/** Batches of shards must depend on seed and position alone, and an epoch must have every token once. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { DataError } from "../../data/errors.ts";
import { mix, permute } from "../../data/permutation.ts";
import type { ShardFormat } from "../../data/shards/format.ts";
import { ShardDataset, type ShardOptions } from "../../data/shards/shard_dataset.ts";
import { countingTokens, ShardFolder } from "./shard_files.ts";

const CONTEXT = 16;
const options: ShardOptions = { batch: 3, context: CONTEXT, seed: 7, vocabulary: 50_257 };
/** Tokens of the shards: validation, then training with whole windows and tails of several lengths; one has none. */
const SIZES = [CONTEXT * 20 + 1, CONTEXT * 31 + 1, CONTEXT * 8 + 5, 9, CONTEXT * 17 + 16];

/** Every token of the set is different, so a token tells where it was. */
function writeCounting(
  folder: ShardFolder,
  format: ShardFormat = "npy",
  sizes: readonly number[] = SIZES,
): number[] {
  let first = 0;
  const firsts = sizes.map((size) => (first += size) - size);
  folder.writeSet(format, sizes.map((size, i) => countingTokens(size, firsts[i])));
  return firsts;
}

/** First tokens of the rows of batches. */
function starts(data: ShardDataset, from: number, to: number): number[] {
  const { batch, context } = data.options;
  return Array.from({ length: to - from }, (_, i) => data.batchAt(from + i).tokens)
    .flatMap((tokens) => Array.from({ length: batch }, (_, row) => tokens[row * context]));
}

Deno.test("the same position gives the same batch, after any others and in another folder and format", async () => {
  using npy = new ShardFolder();
  using bin = new ShardFolder();
  writeCounting(npy);
  writeCounting(bin, "bin");
  using a = await ShardDataset.open(npy.path, options);
  using b = await ShardDataset.open(bin.path, options);
  using other = await ShardDataset.open(npy.path, { ...options, seed: 8 });
  for (const position of [0, 5000, 3, 17, 5001, 123_456_789]) {
    assertEquals(a.batchAt(position), b.batchAt(position), `position ${position}`);
    assertNotEquals(a.batchAt(position), other.batchAt(position));
  }
  using resumed = await ShardDataset.open(npy.path, options);
  for (let position = 40; position < 80; position++) {
    assertEquals(resumed.batchAt(position), a.batchAt(position));
  }
});

Deno.test("rows are runs of the files' tokens, and targets are the tokens one place later", async () => {
  using folder = new ShardFolder();
  const firsts = writeCounting(folder);
  using data = await ShardDataset.open(folder.path, options);
  for (let position = 0; position < 60; position++) {
    const { tokens, targets } = data.batchAt(position);
    tokens.forEach((token, i) => {
      assertEquals(targets[i], token + 1);
      if (i % CONTEXT > 0) assertEquals(token, tokens[i - 1] + 1);
      assert(!firsts.includes(targets[i]), "a window lies across two files");
    });
  }
});

Deno.test("an epoch has every token of every file once, but tails that are shorter than a window", async () => {
  for (let extra = 0; extra < CONTEXT; extra++) {
    using folder = new ShardFolder();
    const sizes = [CONTEXT + 1, 100 + extra, 67, 30 + 2 * extra];
    const firsts = writeCounting(folder, "bin", sizes);
    using data = await ShardDataset.open(folder.path, { ...options, batch: 1, seed: extra });
    for (let epoch = 0; epoch < 3; epoch++) {
      const seen = starts(data, epoch * data.windows, (epoch + 1) * data.windows)
        .flatMap((start) => Array.from({ length: CONTEXT }, (_, i) => start + i));
      const what = `extra ${extra}, epoch ${epoch}`;
      assertEquals(new Set(seen).size, seen.length, what);
      for (const i of [1, 2, 3]) {
        const inside = seen.filter((token) => token >= firsts[i] && token < firsts[i] + sizes[i]).length;
        assert(sizes[i] - inside <= CONTEXT, `${what}: ${inside} of ${sizes[i]} tokens of file ${i}`);
      }
      assert(seen.every((token) => token >= sizes[0]), "training has seen tokens for validation");
    }
  }
});

Deno.test("batches cross the ends of files and epochs without losing a window", async () => {
  using folder = new ShardFolder();
  writeCounting(folder);
  using one = await ShardDataset.open(folder.path, { ...options, batch: 1 });
  using five = await ShardDataset.open(folder.path, { ...options, batch: 5 });
  assertEquals(one.windows, 31 + 8 + 17);
  assert(one.windows % 5 !== 0);
  assertEquals(starts(five, 0, 40), starts(one, 0, 200));
});

Deno.test("an epoch goes through one file after the other, each epoch in orders of its own", async () => {
  using folder = new ShardFolder();
  const firsts = writeCounting(folder, "npy", [40, 700, 700, 700, 700, 700, 700]);
  using data = await ShardDataset.open(folder.path, { ...options, batch: 1 });
  const epochs = [0, 1, 2].map((epoch) => starts(data, epoch * data.windows, (epoch + 1) * data.windows));
  const fileOf = (token: number) => firsts.findLastIndex((first) => first <= token);
  const orders = epochs.map((epoch) => epoch.map(fileOf).filter((file, i, all) => file !== all[i - 1]));
  for (const order of orders) assertEquals(order.toSorted(), [1, 2, 3, 4, 5, 6]);
  assertNotEquals(orders[0], orders[1]);
  assertNotEquals(orders[1], orders[2]);
  const windowsOf = (file: number) => epochs.map((epoch) => epoch.filter((token) => fileOf(token) === file));
  const [first, second] = windowsOf(1);
  assertNotEquals(first, first.toSorted((a, b) => a - b));
  assertNotEquals(first.map((token) => token - first[0]), second.map((token) => token - second[0]));
  const inner = windowsOf(2)[0].map((token) => token - firsts[2]);
  assertNotEquals(
    inner,
    first.map((token) => token - firsts[1]),
    "two files have their windows in one order",
  );
});

Deno.test("validation batches are the files' windows in order, without overlap", async () => {
  using folder = new ShardFolder();
  const firsts = writeCounting(folder, "npy", [CONTEXT * 7 + 9, 200]);
  assertEquals(firsts[1], CONTEXT * 7 + 9);
  using data = await ShardDataset.open(folder.path, options);
  assertEquals([data.validationTokens, data.validationBatches], [CONTEXT * 7 + 9, 2]);
  const seen = [0, 1].flatMap((i) => [...data.validationBatch(i).tokens]);
  assertEquals(seen, Array.from({ length: 6 * CONTEXT }, (_, i) => i));
  const wrapped = data.validationBatch(2).tokens;
  assertEquals([wrapped[0], wrapped[CONTEXT]], [6 * CONTEXT, 0]);
});

Deno.test("few files stay open, however many a run reads, and none after it", async () => {
  using folder = new ShardFolder();
  writeCounting(folder, "npy", Array(30).fill(50));
  const data = await ShardDataset.open(folder.path, { ...options, batch: 64 });
  for (let position = 0; position < 5; position++) data.batchAt(position);
  assertEquals(data.openFiles, 8);
  data.close();
  assertEquals(data.openFiles, 0);
});

Deno.test("a token past the vocabulary stops the batch that has it, with file and position", async () => {
  using folder = new ShardFolder();
  const tokens = countingTokens(100);
  tokens[50] = 50_257;
  folder.writeSet("bin", [countingTokens(50), tokens]);
  using data = await ShardDataset.open(folder.path, { ...options, batch: 6 });
  const { message } = assertThrows(() => data.batchAt(0), DataError);
  assert(message.includes("train_000001.bin: token 50 is 50257, past the vocabulary of 50257"), message);
});

Deno.test("files without a single window are refused with the number of tokens that one needs", async () => {
  using folder = new ShardFolder();
  folder.writeSet("npy", [countingTokens(100), countingTokens(CONTEXT), countingTokens(CONTEXT)]);
  const { message } = await assertRejects(() => ShardDataset.open(folder.path, options), DataError);
  assert(
    message.includes("training") && message.includes("17 tokens") && message.includes("--context"),
    message,
  );
  folder.writeSet("npy", [countingTokens(CONTEXT), countingTokens(100)]);
  await assertRejects(() => ShardDataset.open(folder.path, options), DataError, "validation");
  Deno.truncateSync(join(folder.path, "edufineweb_train_000001.npy"), 99);
  await assertRejects(
    () => ShardDataset.open(folder.path, options),
    DataError,
    "edufineweb_train_000001.npy",
  );
});

Deno.test("permutations are bijections of any size, and keys give different ones", () => {
  for (const size of [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4097]) {
    const image = (key: number) => Array.from({ length: size }, (_, i) => permute(i, size, key));
    const [a, b] = [image(mix(1, size)), image(mix(2, size))];
    assertEquals(a.toSorted((x, y) => x - y), Array.from({ length: size }, (_, i) => i));
    if (size >= 16) assertNotEquals(a, b);
  }
  const large = 2 ** 34 + 7;
  const seen = new Set(Array.from({ length: 2000 }, (_, i) => permute(large - 1 - i, large, 9)));
  assertEquals(seen.size, 2000);
  assert([...seen].every((value) => Number.isInteger(value) && value >= 0 && value < large));
  assert([...seen].some((value) => value > 2 ** 33));
});
