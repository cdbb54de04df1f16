/** Index arithmetic must equal plain integer arithmetic at every position, or a view would read the wrong element. */
import { assert, assertEquals } from "@std/assert";
import {
  add,
  alignmentOf,
  constantIndex,
  floorDiv,
  type IndexExpr,
  indexToWgsl,
  laneStep,
  linearize,
  modulo,
  rangeOf,
  scale,
  substitute,
  unravel,
  variable,
} from "../../compiler/index_expr.ts";

type Values = Readonly<Record<string, number>>;

function valueOf(expr: IndexExpr, values: Values): number {
  return expr.terms.reduce((sum, { atom, factor }) => {
    if (atom.kind === "var") return sum + factor * values[atom.name];
    const inner = valueOf(atom.of, values);
    const quotient = Math.floor(inner / atom.by);
    return sum + factor * (atom.kind === "div" ? quotient : inner - quotient * atom.by);
  }, expr.constant);
}

/** A small linear congruential generator: the test must fail the same way each time. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

Deno.test("random expressions keep their value through every simplification", () => {
  for (let seed = 0; seed < 400; seed++) {
    const random = generator(seed);
    const sizes: Record<string, number> = { p: 1 + random(40), r: 1 + random(12), m: 1 + random(9) };
    const build = (depth: number): { expr: IndexExpr; at: (values: Values) => number } => {
      const kind = depth === 0 ? random(2) : random(6);
      if (kind === 0) {
        const name = Object.keys(sizes)[random(3)];
        return { expr: variable(name, sizes[name]), at: (values) => values[name] };
      }
      if (kind === 1) {
        const value = random(20);
        return { expr: constantIndex(value), at: () => value };
      }
      const inner = build(depth - 1);
      if (kind === 2) {
        const other = build(depth - 1);
        return { expr: add(inner.expr, other.expr), at: (values) => inner.at(values) + other.at(values) };
      }
      const by = 1 + random(16);
      if (kind === 3) return { expr: scale(inner.expr, by), at: (values) => inner.at(values) * by };
      if (kind === 4) {
        return { expr: floorDiv(inner.expr, by), at: (values) => Math.floor(inner.at(values) / by) };
      }
      return { expr: modulo(inner.expr, by), at: (values) => inner.at(values) % by };
    };
    const { expr, at } = build(5);
    const [low, high] = rangeOf(expr);
    for (let trial = 0; trial < 40; trial++) {
      const values = { p: random(sizes.p), r: random(sizes.r), m: random(sizes.m) };
      const expected = at(values);
      assertEquals(valueOf(expr, values), expected, `seed ${seed}: ${expr.key} at ${JSON.stringify(values)}`);
      assert(low <= expected && expected <= high, `seed ${seed}: ${expected} outside [${low}, ${high}]`);
    }
  }
});

Deno.test("linearize undoes unravel, so a reshape costs nothing", () => {
  const p = variable("p", 2 * 3 * 5 * 7);
  for (const shape of [[210], [2, 105], [6, 35], [2, 3, 5, 7], [1, 30, 1, 7]]) {
    assertEquals(linearize(unravel(p, shape), shape).key, "p");
  }
});

Deno.test("a reshape of row and column positions is recognised as the same element", () => {
  const position = add(scale(variable("p", 16), 8), variable("r", 8));
  const [, head, row, column] = unravel(position, [1, 2, 8, 8]);
  assertEquals(column.key, "r");
  assertEquals(linearize([head, row], [2, 8]).key, "p");
});

Deno.test("a transposed view is contiguous along the moved axis only", () => {
  const [i, j] = unravel(variable("p", 64), [8, 8]);
  assertEquals(laneStep(linearize([i, j], [8, 8]), "p"), "next");
  assertEquals(laneStep(linearize([j, i], [8, 8]), "p"), "other");
});

Deno.test("heads of width 64 stay vec4 loads, heads of width 6 do not", () => {
  const wide = modulo(variable("p", 1024), 64);
  assertEquals(laneStep(wide, "p"), "next");
  assertEquals(alignmentOf(wide, "p") % 4, 0);
  assertEquals(laneStep(modulo(variable("p", 1020), 6), "p"), "other");
});

Deno.test("substituting a window's start shifts the index and nothing else", () => {
  const index = add(scale(variable("p", 100), 3), constantIndex(7));
  const shifted = substitute(index, new Map([["p", add(variable("p", 10), constantIndex(20))]]));
  assertEquals(valueOf(shifted, { p: 4 }), 3 * 24 + 7);
});

Deno.test("index text is plain u32 arithmetic", () => {
  const index = add(scale(floorDiv(variable("p", 96), 8), 4), add(variable("r", 4), constantIndex(-2)));
  assertEquals(indexToWgsl(index, (name) => name), "((p / 8u) * 4u + r - 2u)");
});
