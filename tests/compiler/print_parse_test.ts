import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Graph, GraphBuilder, ParseError, parseGraph, printGraph } from "../../compiler/mod.ts";
import { randomGraph } from "../support/random_graph.ts";

Deno.test("printed random graphs read back to the same graphs, origins included", () => {
  for (let seed = 0; seed < 200; seed++) {
    const graph = randomGraph(seed);
    const text = printGraph(graph);
    assertEquals(parseGraph(text), graph, `seed ${seed}`);
    assertEquals(printGraph(parseGraph(text)), text, `seed ${seed}`);
  }
});

Deno.test("a small graph prints as documented", () => {
  const builder = new GraphBuilder();
  builder.origin = { scope: "h.0.attn", phase: "forward", site: "model/gpt2.ts:88" };
  const x = builder.add("input", [], { shape: [2, 3], dtype: "f32", role: "state", name: "x" });
  builder.origin = { scope: "h.0.attn", phase: "backward" };
  const y = builder.add("slice", [x], { starts: [0, 1], ends: [2, 3] });
  builder.origin = { scope: "", phase: "optimizer" };
  const z = builder.add("sum", [y], { axes: [1] });
  builder.outputs.push({ name: "total", node: z }, { name: "next", node: x, donates: "x" });
  assertEquals(
    printGraph(builder.finish()),
    `%0: f32[2,3] = input {name="x", role="state"}            # h.0.attn @model/gpt2.ts:88
%1: f32[2,2] = slice %0 {starts=[0,1], ends=[2,3]}       #b h.0.attn
%2: f32[2] = sum %1 {axes=[1]}                           #o
return total=%2, next=%0 (donates x)
`,
  );
});

/** A graph of one node with given attributes. */
function withAttrs(attrs: Graph["nodes"][number]["attrs"]): Graph {
  const origin = { scope: "", phase: "forward" } as const;
  const node = { id: 0, op: "anything", inputs: [], attrs, shape: [], dtype: "f32", origin } as const;
  return { nodes: [node], outputs: [] };
}

Deno.test("every kind of attribute survives, down to the last bit", () => {
  const numbers = [0, -0, 1, -1.5, 0.1, 1e-7, -1e300, 5e-324, 2 ** 53, Infinity, -Infinity, NaN];
  for (const value of numbers) assertEquals(roundTrip(withAttrs({ value })), withAttrs({ value }));
  const attrs = {
    list: numbers,
    empty: [],
    yes: true,
    no: false,
    text: 'a "b" \\ {c=1, d} # %0\n\u2028ü',
    blank: "",
  };
  assertEquals(roundTrip(withAttrs(attrs)), withAttrs(attrs));
});

function roundTrip(graph: Graph): Graph {
  return parseGraph(printGraph(graph));
}

Deno.test("names, scopes and sites of any spelling survive", () => {
  for (
    const text of [
      "x",
      "h.0.mlp",
      "a b",
      "@x",
      "#b",
      "b",
      "o",
      "",
      "(donates x)",
      'q"',
      "C:\\m.ts:3",
      "x,y=%1",
    ]
  ) {
    const origin = { scope: text, phase: "backward", site: text } as const;
    const { nodes: [node] } = withAttrs({});
    const graph: Graph = {
      nodes: [{ ...node, origin }],
      outputs: [{ name: text, node: 0, donates: text }, { name: `${text}2`, node: 0 }],
    };
    assertEquals(roundTrip(graph), graph);
  }
});

Deno.test("attributes that contradict the type are printed, so that a broken graph reads back broken", () => {
  const { nodes: [node] } = withAttrs({ shape: [2], dtype: "i32" });
  const graph: Graph = { nodes: [{ ...node, op: "input" }], outputs: [] };
  assertEquals(roundTrip(graph), graph);
});

Deno.test("blank lines, comments and indentation are skipped", () => {
  const graph = parseGraph("\n  # a comment\r\n\t%0:f32 [ 3 ]=iota{axis=0}   \n\n  return y = %0\n\n");
  assertEquals(graph.outputs, [{ name: "y", node: 0 }]);
  assertEquals(graph.nodes[0].shape, [3]);
});

const BROKEN: [text: string, line: number, column: number, problem: string][] = [
  ["", 1, 1, "expected a return line"],
  ["%0: f32[3] = exp", 1, 1, "expected a return line"],
  ["%0 f32[3] = exp\nreturn", 1, 4, "expected :"],
  ["%0: f64[3] = exp\nreturn", 1, 8, "f64 is none of the dtypes f32, f16, bf16, i32, u32, bool"],
  ["%0: f32[-3] = exp\nreturn", 1, 9, "expected a size"],
  ["%0: f32[3 = exp\nreturn", 1, 11, "expected ]"],
  ["%0: f32[3] = exp %\nreturn", 1, 19, "expected a node's number"],
  ["%0: f32[3] = exp {a=}\nreturn", 1, 21, "expected a number, a string, true, false or a list of numbers"],
  ['%0: f32[3] = exp {a="x}\nreturn', 1, 21, "expected a closing quote"],
  ["%0: f32[3] = exp {a=1\nreturn", 1, 22, "expected }"],
  ["%0: f32[3] = exp nonsense\nreturn", 1, 18, "expected # and the phase"],
  ["%0: f32[3] = exp #x\nreturn", 1, 18, "expected # and the phase"],
  ["give y=%0", 1, 6, "expected return"],
  ["return y", 1, 9, "expected ="],
  ["return y=%0 (donates x", 1, 23, "expected )"],
  ["return y=%0 z=%1", 1, 13, "expected the end of the line"],
  ["return\n%0: f32[3] = exp", 2, 1, "nothing may follow the return line"],
];

Deno.test("text that is no graph is refused with its place and what was expected", () => {
  for (const [text, line, column, problem] of BROKEN) {
    const error = assertThrows(() => parseGraph(text), ParseError);
    assertEquals([error.line, error.column, error.problem], [line, column, problem]);
    assert(error.message.startsWith(`line ${line}, column ${column}: `));
  }
});
