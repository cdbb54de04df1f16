import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BASELINE,
  concat,
  decompose,
  evaluate,
  grad,
  type Graph,
  GraphError,
  phase,
  scope,
  type Tensor,
  trace,
  verifyGraph,
} from "../../compiler/mod.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { GRADIENT_CASES } from "./gradient_cases.ts";

const SPECS = {
  x: { shape: [2, 3], dtype: "f32", role: "batch" },
  w: { shape: [3], dtype: "f32", role: "state" },
  rate: { shape: [], dtype: "f32", role: "scalar" },
} as const;

type Inputs = Record<keyof typeof SPECS, Tensor>;

const named = ({ nodes }: Graph, op: string) => nodes.find((node) => node.op === op)!;

Deno.test("tracing yields the nodes of the calls in their order, with types, and the outputs by name", () => {
  const graph = trace(({ x, w, rate }: Inputs) => ({ y: x.add(w).mul(rate), z: x.sum(1) }), SPECS);
  verifyGraph(graph);
  assertEquals(
    graph.nodes.map(({ op, inputs, shape }) => [op, inputs, shape]),
    [
      ["input", [], [2, 3]],
      ["input", [], [3]],
      ["input", [], []],
      ["reshape", [1], [1, 3]],
      ["broadcast", [3], [2, 3]],
      ["add", [0, 4], [2, 3]],
      ["reshape", [2], [1, 1]],
      ["broadcast", [6], [2, 3]],
      ["mul", [5, 7], [2, 3]],
      ["sum", [0], [2]],
    ],
  );
  assertEquals(graph.outputs, [{ name: "y", node: 8 }, { name: "z", node: 9 }]);
});

Deno.test("nodes know their line, scope and phase; scopes and phases end with their bodies", () => {
  const graph = trace(({ x }: Inputs) => {
    const a = scope("outer", () => {
      const inner = scope("outer.inner", () => x.exp());
      return inner.sin();
    });
    const b = phase("optimizer", () => scope("clip", () => a.cos()));
    return { y: b.tanh() };
  }, SPECS);
  const origins = ["exp", "sin", "cos", "tanh"].map((op) => named(graph, op).origin);
  assertEquals(origins.map(({ scope, phase }) => [scope, phase]), [
    ["outer.inner", "forward"],
    ["outer", "forward"],
    ["clip", "optimizer"],
    ["", "forward"],
  ]);
  const lines = origins.map(({ site }) => Number(/^tests\/compiler\/trace_test\.ts:(\d+)$/.exec(site!)![1]));
  assertEquals(lines.map((line) => line - lines[0]), [0, 1, 3, 4]);
});

Deno.test("the line of a node is the user's, however deep the call goes", () => {
  const graph = trace(({ x, w }: Inputs) => {
    const deep = x.matmul(w.reshape([1, 3, 1])).mean([0, 1], { keepDims: true });
    return { y: concat([deep, deep], -1) };
  }, SPECS);
  const first = named(graph, "matmul").origin.site;
  assertEquals(named(graph, "sum").origin.site, first);
  assertEquals(named(graph, "mul").origin.site, first);
  assert(graph.nodes.every(({ origin }) => origin.site?.startsWith("tests/compiler/trace_test.ts:")));
});

Deno.test("a scope or phase that throws is left all the same", () => {
  const failing = (): never => {
    throw new Error("on purpose");
  };
  const graph = trace(({ x }: Inputs) => {
    assertThrows(() => scope("lost", () => phase("optimizer", failing)), Error, "on purpose");
    return { y: x.exp() };
  }, SPECS);
  assertEquals([named(graph, "exp").origin.scope, named(graph, "exp").origin.phase], ["", "forward"]);
});

Deno.test("a trace within a trace leaves the outer one intact", () => {
  const graph = trace(({ x }: Inputs) => {
    const inner = trace(({ w }: Inputs) => ({ y: w.add(1) }), SPECS);
    assertEquals(inner.outputs.length, 1);
    return { y: x.add(2) };
  }, SPECS);
  const values = evaluate(graph, { x: [1, 2, 3, 4, 5, 6], w: [0, 0, 0], rate: [0] });
  assertEquals([...values.y], [3, 4, 5, 6, 7, 8]);
});

function refusal(fn: (inputs: Inputs) => Record<string, Tensor>, donates: Record<string, string>): string {
  return assertThrows(() => trace(fn, SPECS, { donates }), GraphError).message;
}

Deno.test("an output that donates a state says so, and a donation that cannot be is refused", () => {
  const graph = trace(({ w, rate }: Inputs) => ({ w: w.mul(rate) }), SPECS, { donates: { w: "w" } });
  assertEquals(graph.outputs, [{ name: "w", node: 5, donates: "w" }]);
  const both = ({ w }: Inputs) => ({ a: w.add(1), b: w.add(2) });
  assertEquals(refusal(both, { a: "w", b: "w" }), "outputs a and b both donate w");
  assertEquals(refusal(both, { c: "w" }), "output c donates w, but there is no such output");
  assertEquals(refusal(both, { a: "x" }), "output a donates x, which is no state input");
  assertEquals(refusal(both, { a: "v" }), "output a donates v, which is no state input");
  assertEquals(
    refusal(({ x }) => ({ a: x.sum(1) }), { a: "w" }),
    "output a is f32[2] but donates w, f32[3]",
  );
  assertEquals(
    refusal(() => ({ a: undefined as unknown as Tensor }), {}),
    "output a is not a tensor of this trace",
  );
});

Deno.test("decomposition leaves no composite, and new nodes have the origin of theirs", () => {
  for (const { name, shapes, fn } of GRADIENT_CASES) {
    const specs = Object.fromEntries(
      shapes.map((shape, i) => [`x${i}`, { shape, dtype: "f32" as const, role: "batch" as const }]),
    );
    const graph = trace((given) => {
      const inputs = shapes.map((_, i) => given[`x${i}`]);
      const loss = scope("part", () => fn(...inputs)).mean();
      return { loss, ...Object.fromEntries(grad(loss, inputs).map((dx, i) => [`d${i}`, dx])) };
    }, specs);
    const plain = decompose(graph, BASELINE);
    verifyGraph(plain);
    assertEquals(plain.nodes.filter(({ op }) => OPS[op].decompose).map(({ op }) => op), [], name);
    assertEquals(plain.outputs.map((output) => output.name), graph.outputs.map((output) => output.name));
    const origins = new Set(graph.nodes.map(({ origin }) => JSON.stringify(origin)));
    assert(plain.nodes.every(({ origin }) => origins.has(JSON.stringify(origin))), name);
  }
});

Deno.test("the reference refuses missing values and wrong lengths by name", () => {
  const graph = trace(({ x }: Inputs) => ({ y: x.neg() }), SPECS);
  const given = { x: [1, 2, 3, 4, 5, 6], w: [0, 0, 0], rate: [0] };
  assertThrows(() => evaluate(graph, { ...given, x: [1] }), GraphError, "input x has 1 elements");
  const { w: _, ...without } = given;
  assertThrows(() => evaluate(graph, without), GraphError, "input w has no value");
});

Deno.test("a product of a batch with one matrix repeats the matrix, or its gradient for each entry of the batch", () => {
  const graph = trace(({ x, w }) => {
    const y = x.matmul(w);
    return { y, dw: grad(y.sum(), [w])[0] };
  }, {
    x: { shape: [5, 2, 3], dtype: "f32", role: "batch" },
    w: { shape: [3, 4], dtype: "f32", role: "state" },
  });
  const products = graph.nodes.filter((node) => node.op === "matmul").map(({ shape }) => shape);
  assertEquals(products, [[10, 4], [10, 3], [3, 4]]);
  const x = Array.from({ length: 30 }, (_, i) => i);
  const w = Array.from({ length: 12 }, (_, i) => i % 3);
  const { y } = evaluate(graph, { x, w });
  assertEquals(graph.nodes[graph.outputs[0].node].shape, [5, 2, 4]);
  assertEquals(y[4 * 7 + 1], 21 * w[1] + 22 * w[5] + 23 * w[9]);
});
