/** Batches must depend on seed and position alone, or a resumed run would see other data. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Dataset } from "../../data/dataset.ts";
import { DataError } from "../../data/errors.ts";

const tokens = Uint16Array.from({ length: 5000 }, (_, i) => i);
const options = { batch: 3, context: 16, seed: 7 };

Deno.test("the same position gives the same batch, in any order of asking", () => {
  const [a, b] = [new Dataset("t", tokens, options), new Dataset("t", tokens, options)];
  const late = a.batchAt(500);
  a.batchAt(3);
  assertEquals(b.batchAt(500), late);
  assertNotEquals(new Dataset("t", tokens, { ...options, seed: 8 }).batchAt(500), late);
});

Deno.test("targets are the tokens one place later", () => {
  const { tokens: x, targets: y } = new Dataset("t", tokens, options).batchAt(11);
  x.forEach((token, i) => assertEquals(y[i], token + 1));
});

Deno.test("an epoch visits every window once, the next one in another order", () => {
  const data = new Dataset("t", tokens, { ...options, batch: 1 });
  const starts = (epoch: number) =>
    Array.from({ length: data.windows }, (_, i) => data.batchAt(epoch * data.windows + i).tokens[0]);
  const [first, second] = [starts(0), starts(1)];
  assertEquals(new Set(first).size, data.windows);
  const sorted = [...first].sort((a, b) => a - b);
  sorted.forEach((start, i) => assertEquals(start - sorted[0], i * 16));
  assertNotEquals(first, second);
  assertNotEquals(first, sorted);
});

Deno.test("any number of windows is visited once an epoch, also by batches that lie across two epochs", () => {
  for (let windows = 1; windows <= 70; windows++) {
    const some = tokens.subarray(0, 30 + 2 * windows);
    const data = new Dataset("t", some, { batch: 3, context: 2, seed: 5 });
    const rows = Array.from({ length: data.windows }, (_, i) => data.batchAt(i).tokens)
      .flatMap((batch) => [batch[0], batch[2], batch[4]]);
    for (let epoch = 0; epoch < 3; epoch++) {
      const starts = rows.slice(epoch * data.windows, (epoch + 1) * data.windows).sort((a, b) => a - b);
      starts.forEach((start, i) => assertEquals(start, starts[0] + 2 * i, `${data.windows} windows`));
    }
  }
});

Deno.test("training and validation do not overlap", () => {
  const data = new Dataset("t", tokens, options);
  assertEquals(data.train.length, 4500);
  for (let i = 0; i < data.validationBatches; i++) {
    assert(data.validationBatch(i).tokens.every((token) => token >= 4500));
  }
  for (let i = 0; i < 400; i++) assert(data.batchAt(i).targets.every((token) => token < 4500));
});

Deno.test("a text that is too short is refused with the numbers", () => {
  const problem = assertThrows(() => new Dataset("text:a.txt", tokens.subarray(0, 100), options), DataError);
  assert(problem.message.includes("100 tokens") && problem.message.includes("context of 16"));
});
