/**
 * Every limit of the target, crossed on purpose: the compiler finds a plan that keeps it, or refuses with the limit's
 * name and both numbers. It never emits a kernel beyond a limit, because Deno and its drivers do not always notice.
 */
import { assert, assertEquals, assertLessOrEqual, assertThrows } from "@std/assert";
import {
  BASELINE,
  type Capabilities,
  compileGraph,
  type Graph,
  type InputSpec,
  LAVAPIPE,
  LimitError,
  type Program,
  trace,
} from "../../compiler/mod.ts";

/** One target for each family of matmul schedules and row kernels. */
const TARGETS: Readonly<Record<string, Capabilities>> = {
  "a GPU": BASELINE,
  "a CPU without subgroups": { ...BASELINE, software: true },
  "lavapipe": LAVAPIPE,
};

const f32 = (...shape: number[]): InputSpec => ({ shape, dtype: "f32", role: "batch" });
const i32 = (...shape: number[]): InputSpec => ({ shape, dtype: "i32", role: "batch" });

const LONG: Readonly<Record<string, () => Graph>> = {
  row: () => trace(({ x }) => ({ y: x.sum([1]) }), { x: f32(2, 5000) }),
  "odd row": () => trace(({ x }) => ({ y: x.max([1]) }), { x: f32(2, 5001) }),
  softmax: () => trace(({ x }) => ({ y: x.softmax() }), { x: f32(70, 5001) }),
  argmax: () => trace(({ x }) => ({ y: x.argmax(1) }), { x: f32(2, 5000) }),
  column: () => trace(({ x }) => ({ y: x.sum([0]) }), { x: f32(5000, 4) }),
  "middle axis": () => trace(({ x }) => ({ y: x.sum([1]) }), { x: f32(2, 5000, 3) }),
  product: () => trace(({ a, b }) => ({ y: a.matmul(b) }), { a: f32(64, 5000), b: f32(5000, 64) }),
  "transposed product": () =>
    trace(({ a, b }) => ({ y: a.matmul(b, { transA: true, transB: true }) }), {
      a: f32(5000, 64),
      b: f32(64, 5000),
    }),
  "scattered sum": () =>
    trace(({ x, at }) => ({ y: x.scatterAdd(at, 3) }), { x: f32(5000, 4), at: i32(5000) }),
};

function keeps(program: Program, target: Capabilities, label: string): void {
  for (const kernel of program.kernels) {
    const what = `${label}: ${kernel.name}`;
    assertLessOrEqual(kernel.loopIterations, target.maxLoopIterations, what);
    assertLessOrEqual(kernel.workgroupBytes, target.maxWorkgroupBytes, what);
    assertLessOrEqual(kernel.workgroupSize.reduce((x, y) => x * y), target.maxInvocations, what);
    const storage = kernel.bindings.filter((binding) => binding !== "uniform").length;
    assertLessOrEqual(storage, target.maxStorageBuffers, what);
    // A text that a driver compiles in minutes would keep the limits as well.
    assertLessOrEqual(kernel.wgsl.length, 50_000, what);
  }
  for (const { workgroups } of program.dispatches) {
    for (const count of workgroups) assertLessOrEqual(count, target.maxWorkgroups, label);
  }
}

/** Compiles for a changed target; gives the program, or the refusal, which must name the limit and both numbers. */
function attempt(graph: Graph, target: Capabilities, label: string): Program | LimitError {
  try {
    const program = compileGraph(graph, target);
    keeps(program, target, label);
    return program;
  } catch (error) {
    if (!(error instanceof LimitError)) throw error;
    assert(error.needed > error.allowed, `${label}: ${error.message}`);
    assert(error.limit.startsWith("max"), `${label}: ${error.message}`);
    for (const part of [error.what, error.limit, error.needed, error.allowed]) {
      assert(error.message.includes(String(part)), `${label}: ${error.message}`);
    }
    return error;
  }
}

const CROSSED: Readonly<Record<string, Partial<Capabilities>>> = {
  "64 loop iterations": { maxLoopIterations: 64 },
  "256 loop iterations": { maxLoopIterations: 256 },
  "256 bytes of workgroup memory": { maxWorkgroupBytes: 256 },
  "32 invocations": { maxInvocations: 32 },
  "7 workgroups": { maxWorkgroups: 7 },
  "3 storage buffers": { maxStorageBuffers: 3 },
};

for (const [name, change] of Object.entries(CROSSED)) {
  Deno.test(`on a target with ${name}, long loops of every kind keep to them or are refused with both numbers`, () => {
    for (const [target, capabilities] of Object.entries(TARGETS)) {
      for (const [kind, graph] of Object.entries(LONG)) {
        attempt(graph(), { ...capabilities, ...change }, `${kind} on ${target} with ${name}`);
      }
    }
  });
}

Deno.test("deep products and scattered sums are cut where loops are short, instead of refused", () => {
  for (const capabilities of Object.values(TARGETS)) {
    const target = { ...capabilities, maxLoopIterations: 64 };
    for (const kind of ["product", "transposed product", "scattered sum"]) {
      const program = compileGraph(LONG[kind](), target);
      assert(program.dispatches.length > 5, kind);
    }
  }
});

Deno.test("rows and columns are cut where one invocation's loop would be too long", () => {
  const target = { ...LAVAPIPE, maxBufferBytes: 2 ** 31, maxBindingBytes: 2 ** 31 };
  const graphs = [
    trace(({ x }) => ({ y: x.sum([1]) }), { x: f32(100, 1_000_003) }),
    trace(({ x }) => ({ y: x.softmax() }), { x: f32(64, 300_001) }),
    trace(({ x }) => ({ y: x.sum([0]) }), { x: f32(1_000_003, 64) }),
    trace(({ x }) => ({ y: x.sum([1]) }), { x: f32(2, 300_001, 3) }),
  ];
  for (const graph of graphs) {
    const program = compileGraph(graph, target);
    keeps(program, target, "long");
    assert(program.dispatches.length >= 2);
  }
});

Deno.test("columns of a tensor larger than a binding are summed in stages that one binding covers", () => {
  // The bias gradient of GPT-2's wide layer at 16 sequences of 1024 tokens: 201 MB, against 134 MB.
  for (
    const [name, target] of Object.entries({ lavapipe: LAVAPIPE, gpu: { ...LAVAPIPE, software: false } })
  ) {
    const program = compileGraph(trace(({ x }) => ({ y: x.sum([0]) }), { x: f32(16_384, 3072) }), target);
    for (const { size } of program.dispatches.flatMap(({ ranges }) => ranges)) {
      assertLessOrEqual(size, target.maxBindingBytes, name);
    }
  }
});

Deno.test("an argmax that no loop may finish is refused with the limit and both numbers", () => {
  const graph = trace(({ x }) => ({ y: x.argmax(1) }), { x: f32(1, 270_004) });
  const error = assertThrows(() => compileGraph(graph, LAVAPIPE), LimitError);
  assertEquals([error.limit, error.needed, error.allowed], ["maxLoopIterations", 67_501, 65_535]);
});

Deno.test("a product's tile that exceeds workgroup memory is refused, or a smaller one is taken", () => {
  const graph = LONG.product();
  const small = compileGraph(graph, { ...BASELINE, maxWorkgroupBytes: 6000 });
  assert(small.kernels[0].workgroupBytes > 0 && small.kernels[0].workgroupBytes <= 6000);
  const error = assertThrows(() => compileGraph(graph, { ...BASELINE, maxWorkgroupBytes: 512 }), LimitError);
  assertEquals([error.limit, error.allowed], ["maxWorkgroupBytes", 512]);
  assert(error.needed > 512);
});

Deno.test("a workgroup with more invocations than allowed is refused with both numbers", () => {
  const graph = trace(({ x }) => ({ y: x.tanh() }), { x: f32(1000) });
  const error = assertThrows(() => compileGraph(graph, { ...BASELINE, maxInvocations: 32 }), LimitError);
  assertEquals(error.message, "kernel tanh needs 64 but maxComputeInvocationsPerWorkgroup is 32");
});

Deno.test("more workgroups than one dimension holds are folded into two, and past two refused", () => {
  const graph = trace(({ x }) => ({ y: x.tanh() }), { x: f32(64 * 4 * 90) });
  const folded = compileGraph(graph, { ...BASELINE, maxWorkgroups: 10 });
  assertEquals(folded.dispatches[0].workgroups, [10, 9, 1]);
  assert(folded.kernels[0].wgsl.includes("group.y"));
  const error = assertThrows(() => compileGraph(graph, { ...BASELINE, maxWorkgroups: 9 }), LimitError);
  assertEquals([error.needed, error.allowed], [90, 81]);
});

Deno.test("a product's tiles are folded into three dimensions, and past three refused", () => {
  const graph = trace(({ a, b }) => ({ y: a.matmul(b) }), { a: f32(3, 512, 16), b: f32(3, 16, 512) });
  for (const [name, capabilities] of Object.entries(TARGETS)) {
    const plain = compileGraph(graph, capabilities).dispatches[0].workgroups;
    const total = plain.reduce((x, y) => x * y);
    const target = { ...capabilities, maxWorkgroups: Math.ceil(Math.cbrt(total)) };
    const folded = compileGraph(graph, target).dispatches[0].workgroups;
    keeps(compileGraph(graph, target), target, name);
    assert(folded[1] > 1 && folded.reduce((x, y) => x * y) >= total, name);
    const error = assertThrows(() => compileGraph(graph, { ...capabilities, maxWorkgroups: 2 }), LimitError);
    assertEquals([error.limit, error.allowed], ["maxComputeWorkgroupsPerDimension", 2]);
  }
});

Deno.test("an op that needs more storage buffers than there are is refused with both numbers", () => {
  const error = assertThrows(
    () => compileGraph(LONG.product(), { ...BASELINE, maxStorageBuffers: 2 }),
    LimitError,
  );
  assertEquals(error.message, "kernel matmul needs 3 but maxStorageBuffersPerShaderStage is 2");
});
