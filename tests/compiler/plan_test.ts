/**
 * The memory plan's promises, checked from outside: nothing that is alive at the same time shares bytes, every binding
 * keeps the target's sizes and alignment, and the arena is not much larger than it must be.
 */
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual, assertThrows } from "@std/assert";
import {
  BASELINE,
  type Capabilities,
  type Compilation,
  compileGraph,
  compileStages,
  LAVAPIPE,
  LimitError,
  trace,
} from "../../compiler/mod.ts";
import { trafficOf } from "../../compiler/order.ts";
import { rootBytes } from "../../compiler/storage.ts";
import { randomGraph } from "../support/random_graph.ts";
import { tinyTrainStep } from "../support/tiny_gpt2.ts";

const GRAPHS = 60;

interface Extent {
  readonly root: number;
  readonly first: number;
  readonly last: number;
  readonly buffer: number;
  readonly start: number;
  readonly end: number;
}

/** Lifetime and bytes of every owner in an arena; lifetimes are taken from the kernels, not from the plan. */
function extentsOf({ kernels, storage, placement }: Compilation): Extent[] {
  const lifetimes = new Map<number, [number, number]>();
  kernels.map(trafficOf).forEach(({ reads, writes }, position) => {
    for (const root of [...reads, ...writes]) {
      if (storage.roots[root].kind !== "arena") continue;
      lifetimes.set(root, [lifetimes.get(root)?.[0] ?? position, position]);
    }
  });
  return [...lifetimes].map(([root, [first, last]]) => {
    const { buffer, offset } = placement.at[root];
    return { root, first, last, buffer, start: offset, end: offset + rootBytes(storage.roots[root]) };
  });
}

function checkOverlaps(compilation: Compilation, label: string): void {
  const extents = extentsOf(compilation);
  extents.forEach((a, i) => {
    for (const b of extents.slice(i + 1)) {
      if (a.buffer !== b.buffer || a.first > b.last || b.first > a.last) continue;
      const names = `${label}: roots ${a.root} and ${b.root}`;
      assert(a.end <= b.start || b.end <= a.start, `${names} are alive together and share bytes`);
    }
  });
}

/** A result may take over an operand's place only from the dispatch at which the operand is read for the last time. */
function checkTakenOver({ placement, storage }: Compilation, label: string): void {
  placement.owner.forEach((owner, root) => {
    if (owner === root) return;
    const { elements, dtype, kind } = storage.roots[root];
    const source = storage.roots[owner];
    assertEquals([source.elements, source.dtype, source.kind], [elements, dtype, kind], label);
    assertEquals(placement.at[root], placement.at[owner], label);
    assert(!placement.lifetimes.has(root), `${label}: root ${root} lives in ${owner} and on its own`);
  });
}

function checkRanges({ program }: Compilation, target: Capabilities, label: string): void {
  for (const { kernel, ranges } of program.dispatches) {
    const { name, bindings } = program.kernels[kernel];
    assertEquals(ranges.length, bindings.length, `${label}: ${name}`);
    ranges.forEach(({ buffer, offset, size }, i) => {
      const plan = program.buffers[buffer];
      assertLessOrEqual(offset + size, plan.bytes, `${label}: ${name}, binding ${i} in ${plan.name}`);
      assertEquals(offset % target.bindingAlignment, 0, `${label}: ${name}, binding ${i}`);
      assertEquals(size % 4, 0, `${label}: ${name}, binding ${i}`);
      assertLessOrEqual(size, target.maxBindingBytes, `${label}: ${name}, binding ${i}`);
    });
    // WebGPU refuses one buffer bound for reading and for writing in one dispatch.
    const writable = ranges.filter((_, i) => bindings[i] === "read_write").map(({ buffer }) => buffer);
    ranges.forEach(({ buffer }, i) => {
      assert(bindings[i] !== "read" || !writable.includes(buffer), `${label}: ${name}, binding ${i}`);
    });
  }
  for (const { name, bytes } of program.buffers) assertLessOrEqual(bytes, target.maxBufferBytes, name);
}

function checkSums({ program }: Compilation, label: string): void {
  const { peakBytes, lowerBoundBytes, naiveBytes } = program.memory;
  assertGreaterOrEqual(peakBytes, lowerBoundBytes, label);
  const held = program.buffers.filter(({ kind }) => kind !== "scalars");
  assertEquals(peakBytes, held.reduce((sum, { bytes }) => sum + bytes, 0), label);
  assertGreaterOrEqual(naiveBytes, lowerBoundBytes, label);
}

for (const mode of ["fused", "eager"] as const) {
  Deno.test(`no two values that are alive together share bytes, in ${GRAPHS} random programs, ${mode}`, () => {
    for (let seed = 0; seed < GRAPHS; seed++) {
      const compilation = compileStages(randomGraph(seed), BASELINE, { mode });
      checkOverlaps(compilation, `seed ${seed}`);
      checkTakenOver(compilation, `seed ${seed}`);
      checkRanges(compilation, BASELINE, `seed ${seed}`);
      checkSums(compilation, `seed ${seed}`);
    }
  });
}

Deno.test("random programs keep to their buffers with bindings and buffers of a few KiB", () => {
  const target = { ...BASELINE, maxBindingBytes: 16 * 1024, maxBufferBytes: 32 * 1024 };
  let compiled = 0;
  for (let seed = 0; seed < GRAPHS; seed++) {
    try {
      const compilation = compileStages(randomGraph(seed), target);
      compiled++;
      checkOverlaps(compilation, `seed ${seed}`);
      checkRanges(compilation, target, `seed ${seed}`);
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
    }
  }
  assertGreaterOrEqual(compiled, GRAPHS / 2);
});

Deno.test("random programs compile with five storage buffers, and keep to them", () => {
  const target = { ...BASELINE, maxStorageBuffers: 5 };
  for (let seed = 0; seed < GRAPHS; seed++) {
    try {
      checkRanges(compileStages(randomGraph(seed), target), target, `seed ${seed}`);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

Deno.test("the training step of a tiny GPT-2 needs little more memory than is alive at once", () => {
  for (const target of [BASELINE, LAVAPIPE]) {
    const compilation = compileStages(tinyTrainStep(), target);
    checkOverlaps(compilation, "GPT-2");
    checkTakenOver(compilation, "GPT-2");
    checkRanges(compilation, target, "GPT-2");
    const { peakBytes, lowerBoundBytes, naiveBytes } = compilation.program.memory;
    assertLessOrEqual(peakBytes, 1.5 * lowerBoundBytes);
    assertLessOrEqual(peakBytes, naiveBytes);
  }
});

const f32 = (length: number) => ({ shape: [length], dtype: "f32", role: "batch" } as const);

Deno.test("a tensor larger than the largest buffer is refused by name, with both numbers", () => {
  const target = { ...BASELINE, maxBufferBytes: 4096 };
  const graph = trace(({ huge }) => ({ y: huge.sum() }), { huge: f32(2000) });
  const error = assertThrows(() => compileGraph(graph, target), LimitError);
  assertEquals([error.what, error.limit], ["tensor huge (2000 f32)", "maxBufferSize"]);
  assertEquals([error.needed, error.allowed], [8000, 4096]);
});

Deno.test("an intermediate that fits the largest buffer only before it is rounded up is refused as well", () => {
  const target = { ...BASELINE, maxBufferBytes: 4500 };
  const graph = trace(({ x }) => ({ y: x.tanh().reshape([33, 34]).matmul(x.reshape([34, 33])).sum() }), {
    x: f32(33 * 34),
  });
  const error = assertThrows(() => compileGraph(graph, target), LimitError);
  assertEquals([error.limit, error.needed, error.allowed], ["maxBufferSize", 4608, 4500]);
});

Deno.test("the arena is split into several buffers where one may not hold it", () => {
  const whole = compileStages(tinyTrainStep(), BASELINE);
  const arenas = ({ program }: Compilation) => program.buffers.filter(({ kind }) => kind === "arena");
  assertEquals(arenas(whole).length, 1);
  const most = Math.max(
    ...whole.program.buffers.filter(({ kind }) => kind !== "arena").map(({ bytes }) => bytes),
  );
  const target = { ...BASELINE, maxBufferBytes: Math.ceil(most / 256) * 256 };
  assert(arenas(whole)[0].bytes > target.maxBufferBytes, "the test needs a larger arena");
  const split = compileStages(tinyTrainStep(), target);
  assertGreaterOrEqual(arenas(split).length, 2);
  checkOverlaps(split, "split");
  checkRanges(split, target, "split");
});
