import { assertEquals, assertThrows } from "@std/assert";
import { BASELINE, decompose, InvalidGraphError, parseGraph, verifyGraph } from "../../compiler/mod.ts";
import { randomGraph } from "../support/random_graph.ts";

Deno.test("traced and decomposed random graphs keep every promise", () => {
  for (let seed = 0; seed < 100; seed++) {
    const graph = randomGraph(seed);
    verifyGraph(graph);
    verifyGraph(decompose(graph, BASELINE));
  }
});

const VALID = `
  %0: f32[2,3] = input {name="x", role="state"}
  %1: f32[3] = input {name="y", role="state"}
  %2: f32[2,3] = exp %0
  %3: f32[3] = sum %2 {axes=[0]}
  return x=%2 (donates x), y=%3 (donates y), z=%3
`;

const BROKEN: [what: string, from: string, to: string, node: number | undefined, problem: string][] = [
  ["an id that is no position", "%2:", "%7:", 7, "stands at position 2"],
  ["an op that does not exist", "exp", "expp", 2, "there is no op expp"],
  ["an input from further on", "exp %0", "exp %3", 2, "reads %3, which is not earlier"],
  ["a node that reads itself", "exp %0", "exp %2", 2, "reads %2, which is not earlier"],
  ["a size of 0", "f32[3] = input", "f32[0] = input", 1, "has a size below 1 in [0]"],
  ["a wrong shape", "f32[3] = sum", "f32[2] = sum", 3, "is f32[2] but sum gives f32[3]"],
  ["a wrong dtype", "f32[3] = sum", "i32[3] = sum", 3, "is i32[3] but sum gives f32[3]"],
  ["attributes that the op refuses", "axes=[0]", "axes=[5]", 3, "sum: axis 5 does not exist in shape [2,3]"],
  ["an input without a name", `name="y", `, "", 1, "is an input without a name"],
  ["a role that does not exist", `"y", role="state"`, `"y", role="guest"`, 1, "has no such role: guest"],
  ["two inputs of one name", `"y"`, `"x"`, 1, "takes the name x a second time"],
  ["two outputs of one name", "z=%3", "x=%3", undefined, "output x appears twice"],
  ["an output that does not exist", "z=%3", "z=%9", undefined, "output z is %9, which does not exist"],
  [
    "a donation of what is no state",
    `"y", role="state"`,
    `"y", role="batch"`,
    undefined,
    "output y donates y, which is no state input",
  ],
  [
    "a donation to another type",
    "x=%2",
    "x=%3",
    undefined,
    "output x is f32[3] but donates x, which is f32[2,3]",
  ],
  ["a state donated twice", "z=%3", "z=%2 (donates x)", undefined, "state x is donated twice"],
];

Deno.test("the graph that the broken ones start from is valid", () => verifyGraph(parseGraph(VALID)));

for (const [what, from, to, node, problem] of BROKEN) {
  Deno.test(`${what} is found`, () => {
    const error = assertThrows(() => verifyGraph(parseGraph(VALID.replace(from, to))), InvalidGraphError);
    assertEquals([error.node, error.problem], [node, problem]);
  });
}
