import { assert, assertEquals } from "@std/assert";
import { evaluate, type Graph, parseGraph, printGraph, simplify, verifyGraph } from "../../compiler/mod.ts";
import { RULES } from "../../compiler/rewrite/rules.ts";
import { randomInputs } from "../support/random_graph.ts";

const text = Deno.readTextFileSync(new URL("simplify_examples.txt", import.meta.url));
const examples = text.split("\n== ").slice(1).map((section) => {
  const [head, after] = section.split("\n->\n");
  const [rule, ...before] = head.split("\n");
  return { rule, before: before.join("\n"), after: after.trim() };
});

const plain = (graph: Graph) => printGraph(graph, { origins: false }).trim();
const simplified = (before: string) => plain(simplify(parseGraph(before)));

for (const { rule, before, after } of examples) {
  Deno.test(`${rule} rewrites its example as written down and keeps the values`, () => {
    const graph = parseGraph(before);
    verifyGraph(graph);
    const used = new Set<string>();
    const result = simplify(graph, { record: (applied) => used.add(applied.rule) });
    verifyGraph(result);
    assertEquals(plain(result), after);
    assert(used.has(rule));
    const inputs = randomInputs(graph, 1);
    assertEquals(evaluate(result, inputs), evaluate(graph, inputs));
  });
}

Deno.test("every rule has an example", () => {
  assertEquals(examples.map(({ rule }) => rule), RULES.map((rule) => rule.name));
});

Deno.test("products with 0 stay, since NaN and infinity times 0 are NaN", () => {
  const graph = `
    %0: f32[] = input {name="x", role="scalar"}
    %1: f32[] = constant {value=0}
    %2: f32[] = mul %0 %1
    %3: f32[] = sub %0 %0
    return y=%2, z=%3`;
  assertEquals(simplified(graph), plain(parseGraph(graph)));
});

Deno.test("a cast through a narrower dtype stays, since it rounds", () => {
  const graph = `
    %0: f32[3] = input {name="x", role="batch"}
    %1: f16[3] = cast %0
    %2: f32[3] = cast %1
    return y=%2`;
  assertEquals(simplified(graph), plain(parseGraph(graph)));
});

Deno.test("constants do not fold to what no literal can hold", () => {
  const graph = `
    %0: f32[] = constant {value=100}
    %1: f32[] = exp %0
    %2: f32[] = constant {value=0}
    %3: f32[] = log %2
    %4: f32[] = constant {value=-100}
    %5: f32[] = exp %4
    return y=%1, z=%3, w=%5`;
  assertEquals(simplified(graph), plain(parseGraph(graph)));
});

Deno.test("integer constants wrap as they do on the device", () => {
  assertEquals(
    simplified(`
      %0: i32[] = constant {value=2147483647}
      %1: i32[] = constant {value=3}
      %2: i32[] = mul %0 %1
      return y=%2`),
    "%0: i32[] = constant {value=2147483645}\nreturn y=%0",
  );
});

Deno.test("a sum of equal integers is their product with the count, in their own dtype", () => {
  assertEquals(
    simplified(`
      %0: u32[1,2] = input {name="x", role="batch"}
      %1: u32[5,2] = broadcast %0
      %2: u32[2] = sum %1 {axes=[0]}
      return y=%2`),
    plain(parseGraph(`
      %0: u32[1,2] = input {name="x", role="batch"}
      %1: u32[] = constant {value=5}
      %2: u32[1,1] = reshape %1
      %3: u32[1,2] = broadcast %2
      %4: u32[1,2] = mul %0 %3
      %5: u32[2] = reshape %4
      return y=%5`)),
  );
});

Deno.test("equal nodes become one, with operands either way round where that is the same", () => {
  assertEquals(
    simplified(`
      %0: f32[3] = input {name="x", role="batch"}
      %1: f32[3] = input {name="y", role="batch"}
      %2: f32[3] = mul %0 %1
      %3: f32[3] = mul %1 %0
      %4: f32[3] = div %0 %1
      %5: f32[3] = div %1 %0
      return a=%2, b=%3, c=%4, d=%5`),
    plain(parseGraph(`
      %0: f32[3] = input {name="x", role="batch"}
      %1: f32[3] = input {name="y", role="batch"}
      %2: f32[3] = mul %0 %1
      %3: f32[3] = div %0 %1
      %4: f32[3] = div %1 %0
      return a=%2, b=%2, c=%3, d=%4`)),
  );
});

Deno.test("constants 0 and -0 are not taken for each other", () => {
  const graph = `
    %0: f32[] = constant {value=0}
    %1: f32[] = constant {value=-0}
    return y=%0, z=%1`;
  assertEquals(simplified(graph), plain(parseGraph(graph)));
});

Deno.test("inputs survive unused, in order and never merged; other unused nodes go", () => {
  assertEquals(
    simplified(`
      %0: f32[3] = input {name="x", role="batch"}
      %1: f32[3] = exp %0
      %2: f32[3] = input {name="y", role="batch"}
      %3: f32[] = constant {value=1}
      return z=%3`),
    plain(parseGraph(`
      %0: f32[3] = input {name="x", role="batch"}
      %1: f32[3] = input {name="y", role="batch"}
      %2: f32[] = constant {value=1}
      return z=%2`)),
  );
});

Deno.test("a replacement has the origin of what it replaces, and the record tells both", () => {
  const graph = parseGraph(`
    %0: f32[3] = input {name="x", role="state"}  # @model.ts:1
    %1: f32[3] = neg %0                          # h.0 @model.ts:2
    %2: f32[3] = add %0 %1                       #b h.1 @model.ts:3
    return x=%2 (donates x)`);
  const records: unknown[] = [];
  const result = simplify(graph, { record: (applied) => records.push(applied) });
  assertEquals(result.nodes[1], {
    id: 1,
    op: "sub",
    inputs: [0, 0],
    attrs: {},
    shape: [3],
    dtype: "f32",
    origin: { scope: "h.1", phase: "backward", site: "model.ts:3" },
  });
  assertEquals(result.outputs, [{ name: "x", node: 1, donates: "x" }]);
  assertEquals(records, [{ rule: "add-negated", node: 2, replacement: 1 }]);
});

Deno.test("a rule that is left out is not applied", () => {
  const graph = `
    %0: f32[2,3,4] = input {name="x", role="batch"}
    %1: f32[3,4] = sum %0 {axes=[0]}
    %2: f32[4] = sum %1 {axes=[0]}
    return y=%2`;
  const result = simplify(parseGraph(graph), { without: ["nested-reductions"] });
  assertEquals(plain(result), plain(parseGraph(graph)));
});
