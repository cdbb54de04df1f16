import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { randomBits, randomNormal, randomUniform } from "../../compiler/mod.ts";
import { philox } from "../../compiler/ops/leaves.ts";
import { Prng } from "../support/prng.ts";
import { assertValues, compute, u32 } from "./compute.ts";

/** Philox 4x32-10 as its paper writes it, on 64-bit integers: an independent copy for any counter and key. */
function philox4x32(counter: readonly number[], key: readonly number[]): number[] {
  const word = (value: bigint) => value & 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map(BigInt);
  let [k0, k1] = key.map(BigInt);
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [0xd2511f53n * c0, 0xcd9e8d57n * c2];
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, word(p1), (p0 >> 32n) ^ c3 ^ k1, word(p0)];
    [k0, k1] = [word(k0 + 0x9e3779b9n), word(k1 + 0xbb67ae85n)];
  }
  return [c0, c1, c2, c3].map(Number);
}

Deno.test("the independent copy of Philox gives the known answers of Random123", () => {
  const ones = 0xffffffff;
  assertEquals(philox4x32([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  assertEquals(
    philox4x32([ones, ones, ones, ones], [ones, ones]),
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  );
  assertEquals(
    philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  );
});

Deno.test("philox is word i % 4 of counter (i / 4, 0, stream, 0) under the key (key, 0)", () => {
  const seed = 29;
  const prng = new Prng(seed);
  const word = () => prng.integer(0, 2 ** 32 - 1);
  const cases = [[0, 0, 0], [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1]];
  for (let i = 0; i < 200; i++) cases.push([word(), word(), word()]);
  for (const [index, stream, key] of cases) {
    const expected = philox4x32([Math.floor(index / 4), 0, stream, 0], [key, 0])[index % 4];
    assertEquals(philox(index, stream, key), expected, `philox(${index}, ${stream}, ${key}), seed ${seed}`);
  }
});

const KEY = u32([12_345], []);

Deno.test("random words are those of Philox at each element's index", () => {
  assertValues(
    compute((key) => randomBits(key, [3, 5], 7), KEY),
    u32(Array.from({ length: 15 }, (_, i) => philox(i, 7, 12_345)), [3, 5]),
  );
});

Deno.test("with a key for each row, a row has the words that it would have alone", () => {
  const keys = [7, 12_345];
  assertValues(
    compute((key) => randomBits(key, [2, 5], 3), u32(keys, [2])),
    u32(keys.flatMap((key) => Array.from({ length: 5 }, (_, i) => philox(i, 3, key))), [2, 5]),
  );
});

Deno.test("uniform numbers are the upper 24 bits of words, in [0, 1)", () => {
  const words = compute((key) => randomBits(key, [64], 2), KEY).data;
  const uniform = compute((key) => randomUniform(key, [64], 2), KEY);
  assertEquals(uniform.data, words.map((word) => (word >>> 8) / 2 ** 24));
  assert(uniform.data.every((value) => Math.fround(value) === value), "f32 holds them exactly");
});

Deno.test("normal numbers have mean 0, deviation 1, and 4.6 % of them lie past two deviations", () => {
  const count = 20_000;
  const { data } = compute((key) => randomNormal(key, [count], 1), KEY);
  const mean = data.reduce((sum, value) => sum + value, 0) / count;
  const variance = data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
  const far = data.filter((value) => Math.abs(value) > 2).length / count;
  // Four standard errors each.
  assertAlmostEquals(mean, 0, 4 / Math.sqrt(count));
  assertAlmostEquals(variance, 1, 4 * Math.sqrt(2 / count));
  assertAlmostEquals(far, 0.0455, 4 * Math.sqrt(0.0455 / count));
});

Deno.test("normal numbers of neighbouring streams have no words in common", () => {
  const draws = [0, 1, 2].flatMap((stream) => compute((key) => randomNormal(key, [50], stream), KEY).data);
  assertEquals(new Set(draws).size, draws.length);
});
