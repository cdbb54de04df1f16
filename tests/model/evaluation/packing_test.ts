/** Packing decides what each ending sees: nothing may be lost, doubled, or seen by a neighbour. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type ChoiceTokens, packChoices, type Packing } from "../../../model/evaluation/packing.ts";
import { seededUniform } from "../seeded.ts";

/** Examples whose tokens are all different: a number says where it is from. */
function examples(lengths: readonly (readonly number[])[]): ChoiceTokens[] {
  let next = 1;
  const fresh = (length: number) => Array.from({ length }, () => next++);
  return lengths.map(([context, ...endings]) => ({ context: fresh(context), endings: endings.map(fresh) }));
}

function randomExamples(count: number, seed: number): ChoiceTokens[] {
  const uniform = seededUniform(seed);
  const size = (most: number) => 1 + Math.floor(uniform() * most);
  return examples(Array.from({ length: count }, () => [size(40), size(20), size(20), size(20), size(20)]));
}

/** What each ending is scored on: the tokens that its first scored token sees, and the scored tokens. */
function readBack({ shape, batches }: Packing) {
  const found = new Map<string, { seen: number[]; targets: number[]; positions: number[] }>();
  for (const { inputs: { tokens, positions, own, root, places, targets }, spans } of batches) {
    for (const { example, ending, start, end } of spans) {
      const last = places[end - 1];
      const row = Math.floor(last / shape.length);
      const visible = (from: number, to: number) =>
        to <= from && Math.floor(to / shape.length) === row &&
        (own[to] === own[from] || own[to] === root[from]);
      const all = Array.from(tokens.keys()).filter((at) => visible(last, at));
      const key = `${example}.${ending}`;
      assert(!found.has(key), `ending ${key} is scored twice`);
      found.set(key, {
        seen: all.map((at) => tokens[at]),
        targets: Array.from(targets.subarray(start, end)),
        positions: all.map((at) => positions[at]),
      });
    }
  }
  return found;
}

Deno.test("each ending sees its context and itself, and every token of it is scored once", () => {
  const seed = 5;
  const questions = randomExamples(50, seed);
  for (const options of [{ length: 64, rows: 3 }, { length: 200, rows: 1 }, { length: 30, tokens: 10 }]) {
    const packing = packChoices(questions, { context: 100, tokens: 500, ...options });
    const found = readBack(packing);
    assertEquals(packing.cut, 0);
    assertEquals(found.size, 4 * questions.length, `seed ${seed}`);
    questions.forEach(({ context, endings }, example) =>
      endings.forEach((ending, i) => {
        const { seen, targets, positions } = found.get(`${example}.${i}`)!;
        const whole = [...Array.from(context), ...Array.from(ending)];
        assertEquals(seen, whole.slice(0, -1));
        assertEquals(targets, Array.from(ending));
        assertEquals(positions, seen.map((_, at) => at));
      })
    );
    for (const { inputs } of packing.batches) {
      assertEquals(inputs.tokens.length, packing.shape.rows * packing.shape.length);
      assertEquals(inputs.targets.length, packing.shape.scored);
    }
  }
});

Deno.test("examples that are too long lose their beginnings, each ending as much as it must", () => {
  const packing = packChoices(examples([[6, 2, 4, 9, 12], [3, 1, 1, 1, 1]]), {
    context: 8,
    length: 16,
    tokens: 64,
  });
  assertEquals(packing.cut, 1);
  const found = readBack(packing);
  const scored = (key: string) => found.get(key)!;
  assertEquals(scored("0.0"), {
    seen: [1, 2, 3, 4, 5, 6, 7],
    targets: [7, 8],
    positions: [0, 1, 2, 3, 4, 5, 6],
  });
  assertEquals(scored("0.1").seen, [3, 4, 5, 6, 9, 10, 11]);
  assertEquals(scored("0.1").targets, [9, 10, 11, 12]);
  // Of endings that are longer than the context the first token that is left has none before it.
  assertEquals(scored("0.2"), {
    seen: [14, 15, 16, 17, 18, 19, 20],
    targets: [15, 16, 17, 18, 19, 20, 21],
    positions: [0, 1, 2, 3, 4, 5, 6],
  });
  assertEquals(scored("0.3").targets, [27, 28, 29, 30, 31, 32, 33]);
  assertEquals(scored("1.2").seen, [34, 35, 36]);
});

Deno.test("rows are nearly full, and batches take nearly as many losses each", () => {
  const questions = randomExamples(400, 9);
  const used = questions.reduce(
    (sum, { context, endings }) => endings.reduce((sum, { length }) => sum + length, sum + context.length),
    0,
  );
  const { shape, batches } = packChoices(questions, { context: 100, length: 128, rows: 4, tokens: 1 });
  const capacity = batches.length * shape.rows * shape.length;
  assert(used / capacity > 0.9, `${used} of ${capacity} tokens are used`);
  const scored = batches.map(({ spans }) => spans.reduce((sum, { start, end }) => sum + end - start, 0));
  assert(Math.min(...scored) > 0.7 * shape.scored, `${scored} of ${shape.scored}`);
});

Deno.test("few examples make a small batch, and a model that sees one token is refused", () => {
  const few = examples([[3, 2, 2, 2, 2]]);
  assertEquals(packChoices(few, { context: 64, length: 256, tokens: 8192 }).shape, {
    rows: 1,
    length: 16,
    scored: 16,
  });
  assertThrows(() => packChoices(few, { context: 1, length: 256, tokens: 8192 }), RangeError, "context of 1");
});
