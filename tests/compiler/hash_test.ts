import { assertEquals, assertNotEquals } from "@std/assert";
import { type Graph, hashGraph, parseGraph } from "../../compiler/mod.ts";
import { hashText } from "../../compiler/hash.ts";
import { randomGraph } from "../support/random_graph.ts";

Deno.test("texts hash to the published values of 64-bit FNV-1a", () => {
  assertEquals(hashText(""), "cbf29ce484222325");
  assertEquals(hashText("a"), "af63dc4c8601ec8c");
  assertEquals(hashText("foobar"), "85944171f73967e8");
});

const TEXT = `
  %0: f32[4] = input {name="x", role="state"}
  %1: f32[4] = input {name="y", role="batch"}
  %2: f32[4] = sub %0 %1
  %3: f32[4] = pad %2 {before=[0], after=[0]}
  return a=%3, b=%2 (donates x)
`;

Deno.test("origins and the order of attributes do not change a hash", () => {
  const graph = parseGraph(TEXT);
  const moved: Graph = {
    ...graph,
    nodes: graph.nodes.map((node) => ({
      ...node,
      attrs: Object.fromEntries(Object.entries(node.attrs).reverse()),
      origin: { scope: "elsewhere", phase: "backward", site: "x.ts:1" },
    })),
  };
  assertEquals(hashGraph(moved), hashGraph(graph));
});

Deno.test("any change of structure changes a hash", () => {
  const changes: [string, string][] = [
    ["sub", "add"],
    ["%0 %1", "%1 %0"],
    ["before=[0]", "before=[-0]"],
    ["before=[0]", "before=[1]"],
    ["f32[4] = pad", "f32[5] = pad"],
    ["f32[4] = pad", "f16[4] = pad"],
    [`"y"`, `"z"`],
    ["batch", "state"],
    ["a=%3", "c=%3"],
    ["a=%3", "a=%2"],
    [" (donates x)", ""],
  ];
  const hashes = [TEXT, ...changes.map(([from, to]) => TEXT.replace(from, to))].map((text) =>
    hashGraph(parseGraph(text))
  );
  assertEquals(new Set(hashes).size, hashes.length);
});

Deno.test("a graph hashes the same each time it is traced, and others differently", () => {
  for (let seed = 0; seed < 50; seed++) {
    assertEquals(hashGraph(randomGraph(seed)), hashGraph(randomGraph(seed)), `seed ${seed}`);
    assertNotEquals(hashGraph(randomGraph(seed)), hashGraph(randomGraph(seed + 1)), `seed ${seed}`);
  }
});
