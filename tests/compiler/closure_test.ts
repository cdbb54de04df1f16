/**
 * Closures of greatest profit, against trying all sets.
 */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { bestClosure, type ClosureProblem } from "../../compiler/closure.ts";
import { Prng } from "../support/prng.ts";

function randomProblem(prng: Prng): ClosureProblem {
  const size = prng.integer(1, 10);
  const profits = Array.from({ length: size }, () => prng.integer(-8, 8));
  const needs = Array.from({ length: prng.integer(0, 2 * size) }, () =>
    [
      prng.integer(0, size - 1),
      prng.integer(0, size - 1),
    ] as const);
  return { profits, needs };
}

const isClosed = ({ needs }: ClosureProblem, set: readonly boolean[]) =>
  needs.every(([item, other]) => !set[item] || set[other]);

const profitOf = ({ profits }: ClosureProblem, set: readonly boolean[]) =>
  profits.reduce((sum, profit, item) => sum + (set[item] ? profit : 0), 0);

Deno.test("no closed set has a greater profit than the one that is chosen, in 300 random problems", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const problem = randomProblem(new Prng(seed));
    const { length } = problem.profits;
    const chosen = bestClosure(problem);
    assertEquals(isClosed(problem, chosen), true, `seed ${seed}`);
    let best = 0;
    for (let bits = 0; bits < 2 ** length; bits++) {
      const set = Array.from({ length }, (_, item) => (bits >> item & 1) === 1);
      if (isClosed(problem, set)) best = Math.max(best, profitOf(problem, set));
    }
    assertAlmostEquals(profitOf(problem, chosen), best, 1e-6, `seed ${seed}`);
  }
});

Deno.test("what earns nothing is left out", () => {
  assertEquals(bestClosure({ profits: [0, -1, 2], needs: [[2, 0]] }), [true, false, true]);
  assertEquals(bestClosure({ profits: [0, 1, -1], needs: [[1, 2]] }), [false, false, false]);
});
