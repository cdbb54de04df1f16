/**
 * What the inspector prints of kernels: the lines that say what a kernel computes, in Kernel IR and in WGSL. Only lines
 * that carry meaning are compared, not names of temporaries.
 */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  BASELINE,
  compileGraph,
  compileStages,
  explain,
  LAVAPIPE,
  type Tensor,
  trace,
} from "../../compiler/mod.ts";
import { tinyTrainStep } from "../support/tiny_gpt2.ts";

const f32 = (...shape: number[]) => ({ shape, dtype: "f32", role: "batch" } as const);

const layerNorm = () =>
  trace(({ x, gamma, beta }) => ({ y: x.layerNorm(gamma, beta, 1e-5) }), {
    x: f32(6, 8),
    gamma: f32(8),
    beta: f32(8),
  });

const wide = () =>
  trace(({ x, w, b }) => ({ y: x.matmul(w).add(b).gelu() }), { x: f32(16, 8), w: f32(8, 32), b: f32(32) });

/** Asserts that the lines occur in this order. */
function assertLines(text: string, patterns: readonly RegExp[]): void {
  const lines = text.split("\n");
  let at = 0;
  for (const pattern of patterns) {
    const found = lines.findIndex((line, i) => i >= at && pattern.test(line));
    assert(found >= 0, `no line ${pattern} after line ${at} of\n${text}`);
    at = found + 1;
  }
}

Deno.test("layerNorm is printed as one kernel over rows: two sums, then a store of each element", () => {
  const { kernels } = compileGraph(layerNorm(), LAVAPIPE);
  assertEquals(kernels.length, 1);
  assertLines(kernels[0].ir, [
    /^kernel sum\S*\+\d+ more {3}row p<6 r<8$/,
    /t\d: f32\[48\].*read, 192 bytes/,
    /t\d: f32\[8\].*read, 32 bytes/,
    /t\d: f32\[48\].*read_write, 192 bytes/,
    /^ {4}x0 = load t\d\[p\*8 \+ r\]$|^ {4}x0 = load t\d\[.*p.*r.*\]$/,
    /^ {2}sum0 = sum over r of x0$/,
    /^ {4}sub0 = sub x0, /,
    /^ {2}sum1 = sum over r of mul\d$/,
    /^ {2}rsqrt0 = rsqrt add0$/,
    /^ {4}store t\d\[.*\] = add\d$/,
  ]);
});

Deno.test("layerNorm's WGSL walks a row three times in vec4 steps, and stores in the last", () => {
  const [kernel] = compileGraph(layerNorm(), LAVAPIPE).kernels;
  assertLines(kernel.wgsl, [
    /@group\(0\) @binding\(0\) var<storage, read> t0: array<vec4<f32>>;/,
    /var<storage, read_write> t\d: array<vec4<f32>>;/,
    /^@compute @workgroup_size\(16, 1, 1\)$/,
    new RegExp(`^fn ${kernel.name}\\(`),
    /if \(position >= 6u\) \{ return; \}/,
    /for \(var step = 0u; step < 2u; step \+= 1u\)/,
    /sum\w* \+= /,
    /for \(var step = 0u; step < 2u; step \+= 1u\)/,
    /inverseSqrt\(/,
    /for \(var step = 0u; step < 2u; step \+= 1u\)/,
    /t\d\[.*\] = /,
  ]);
  assertEquals(kernel.loopIterations, 6);
  assertEquals(kernel.bindings, ["read", "read", "read", "read_write"]);
});

Deno.test("product, bias and GELU are printed as one kernel with two operands and an epilogue", () => {
  const { kernels } = compileGraph(wide(), BASELINE);
  assertEquals(kernels.length, 1);
  assertLines(kernels[0].ir, [
    /^kernel matmul\+add\S* .*matmul z<1 m<16 n<32 k<8$/,
    /^ {2}operand a:$/,
    /^ {4}x0 = load t\d\[.*k.*m.*\]$|^ {4}x0 = load t\d\[.*m.*k.*\]$/,
    /^ {2}operand b:$/,
    /^ {4}x0 = load t\d\[.*\]$/,
    /^ {2}acc0 = result of the template: matmul$/,
    /^ {2}x0 = load t\d\[n\]$/,
    /^ {2}add0 = add acc0, x0$/,
    /^ {2}tanh0 = tanh /,
    /^ {2}store t\d\[.*m.*n.*\] = /,
  ]);
});

Deno.test("every family of products loads each operand as vec4, adds up vec4s and ends in GELU", () => {
  for (const target of [BASELINE, { ...BASELINE, software: true }, LAVAPIPE]) {
    const [kernel] = compileGraph(wide(), target).kernels;
    assertEquals(kernel.wgsl.match(/array<vec4<f32>>;/g)?.length, 4);
    // tanh is written out, because SwiftShader's own is NaN far from zero.
    assertLines(kernel.wgsl, [
      /^@compute /,
      /= vec4<f32>\(\);/,
      /\w \+= \w.* \* \w/,
      /clamp\(.*exp\(|exp\(.*clamp\(/,
    ]);
    assertEquals(kernel.wgsl.includes("var<workgroup>"), !target.software);
    assertEquals(kernel.wgsl.includes("subgroup"), target === LAVAPIPE);
    assert(!kernel.wgsl.includes("enable subgroups"), "naga rejects the directive");
  }
});

Deno.test("entry points have names of their own, which say what they compute", () => {
  for (const mode of ["fused", "eager"] as const) {
    const { kernels } = compileGraph(tinyTrainStep(), BASELINE, { mode });
    const names = kernels.map(({ name }) => name);
    assertEquals(new Set(names).size, names.length);
    for (const { name, wgsl } of kernels) {
      assertMatch(name, /^(pointwise|row|column|matmul|attention|segment|indexed)_\w+_[0-9a-f]{6}$/);
      assertEquals(wgsl.match(/^fn (\w+)\(.*\) \{$/gm)?.some((line) => line.startsWith(`fn ${name}(`)), true);
    }
  }
});

Deno.test("kernels with equal text are kept once, with the ranges of each dispatch", () => {
  const twice = (second: (x: Tensor) => Tensor) =>
    compileGraph(
      trace(({ x, y }) => ({ a: x.tanh().add(1), b: second(y) }), { x: f32(64), y: f32(64) }),
      BASELINE,
    );
  const equal = twice((y) => y.tanh().add(1));
  assertEquals(equal.kernels.length, 1);
  assertEquals(equal.dispatches.map(({ kernel }) => kernel), [0, 0]);
  assertNotEquals(equal.dispatches[0].ranges, equal.dispatches[1].ranges);
  assertEquals(twice((y) => y.tanh().add(2)).kernels.length, 2);
});

Deno.test("compiling the same graph again gives the same program, text for text", () => {
  const [first, second] = [0, 1].map(() => compileGraph(tinyTrainStep(), BASELINE));
  assertEquals({ ...first, compileMs: {} }, { ...second, compileMs: {} });
});

Deno.test("the inspector prints every kernel of a program, with its uses", () => {
  const compilation = compileStages(tinyTrainStep(), BASELINE);
  for (const stage of ["kernels", "wgsl"] as const) {
    const text = explain(compilation, stage);
    for (const { name } of compilation.program.kernels) {
      assertMatch(text, new RegExp(`^// ${name}: \\d+ x`, "m"));
    }
  }
});
