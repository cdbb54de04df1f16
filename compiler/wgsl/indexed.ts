/**
 * The generators of kernels whose addresses are data: rows written in place, the sum of segments (the embedding's
 * gradient), the stable sort that orders it, and the search that finds where each segment starts. None uses atomics: every
 * sum has one order.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { InternalError } from "../errors.ts";
import type { KernelIR, Operand } from "../lower_work.ts";
import { Emitter, splat, storeAll } from "./expression.ts";
import { foldGrid, type KernelText } from "./kernel_text.ts";
import { type Access, accessesOf, type Slots } from "./slots.ts";
import { Writer } from "./writer.ts";

const WORKGROUP = 64;

/** All accesses of an indexed or segment kernel. */
export function indexedAccesses(kernel: KernelIR): Access[] {
  if (kernel.op === "setRows") {
    const { row, value } = kernel.operands;
    const isWide = hasWideRows(kernel);
    return [
      ...accessesOf(row.body, ""),
      ...accessesOf(value.body, isWide ? "q" : ""),
      ...accessesOf(kernel.body, isWide ? "p" : ""),
    ];
  }
  const vector = segmentVector(kernel);
  return [
    ...Object.values(kernel.operands).flatMap(({ body }) => accessesOf(body, vector)),
    ...accessesOf(kernel.body, vector),
  ];
}

/** Rows that are made of whole vec4s are written four columns at once. */
function hasWideRows(kernel: KernelIR): boolean {
  return kernel.sizes.width % 4 === 0;
}

/** Segment sums run over four columns at once where rows are made of whole vec4s. */
function segmentVector(kernel: KernelIR): string {
  return kernel.kind === "segment" && kernel.sizes.width % 4 === 0 ? "p" : "";
}

function emitOperand(
  w: Writer,
  operand: Operand,
  slots: Slots,
  vector: string,
  names: Record<string, string>,
) {
  const context = { body: operand.body, slots, vector, names: new Map(Object.entries(names)) };
  return new Emitter(context).value(w, operand.value);
}

function begin(w: Writer, count: number, target: Capabilities): [number, number, number] {
  const workgroups = foldGrid(w, Math.ceil(count / WORKGROUP), target, "tile");
  w.line(`let position = tile * ${WORKGROUP}u + localIndex;`);
  w.line(`if (position >= ${count}u) { return; }`);
  return workgroups;
}

function finish(w: Writer, workgroups: KernelText["workgroups"], loopIterations: number): KernelText {
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [WORKGROUP, 1, 1],
    workgroups,
    loopIterations,
    workgroupBytes: 0,
  };
}

function emitStores(w: Writer, kernel: KernelIR, slots: Slots, vector: string, text: string): void {
  const result = kernel.body.instructions.findIndex((instruction) => instruction.kind === "result");
  if (result < 0) throw new InternalError(`the epilogue of ${kernel.title} does not use its result`);
  const emitter = new Emitter({ body: kernel.body, slots, vector, names: new Map([["p", "p"]]) });
  emitter.define(result, { text, lanes: vector === "" ? 1 : 4 });
  storeAll(w, emitter, kernel.body.stores);
}

/** out[v, c] = sum of updates[order[t], c] over the t of segment v, in order. */
export function emitSegmentSum(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  const w = new Writer();
  const vector = segmentVector(kernel);
  const { updates, order, start, end } = kernel.operands;
  const workgroups = begin(w, vector ? kernel.parallel / 4 : kernel.parallel, target);
  w.line(vector ? "let p = position * 4u;" : "let p = position;");
  const first = emitOperand(w, start, slots, vector, { p: "p" }).text;
  const past = emitOperand(w, end, slots, vector, { p: "p" }).text;
  w.line(`var total = ${splat("0.0", vector ? 4 : 1, "f32")};`);
  w.block(`for (var t = u32(${first}); t < u32(${past}); t++)`, () => {
    const j = w.let(`u32(${emitOperand(w, order, slots, "", { t: "t" }).text})`, "j");
    const value = emitOperand(w, updates, slots, vector, { p: "p", j });
    w.line(`total += ${vector && value.lanes === 1 ? splat(value.text, 4, "f32") : value.text};`);
  });
  emitStores(w, kernel, slots, vector, "total");
  return finish(w, workgroups, kernel.sizes.count);
}

/** Emits `setRows`, `argsort` or `searchSorted`. */
export function emitIndexed(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  if (kernel.op === "setRows") return emitSetRows(kernel, slots, target);
  return kernel.op === "argsort" ? emitArgsort(kernel, slots, target) : emitSearch(kernel, slots, target);
}

/** table[row[i], c] = rows[i, c]; one invocation for each element of the rows, or for four. */
function emitSetRows(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  const w = new Writer();
  const { table, width, count } = kernel.sizes;
  const lanes = hasWideRows(kernel) ? 4 : 1;
  const workgroups = begin(w, count * width / lanes, target);
  w.line(lanes === 4 ? "let q = position * 4u;" : "let q = position;");
  // A negative row becomes a very large one.
  const row = w.let(`u32(${emitOperand(w, kernel.operands.row, slots, "", { q: "q" }).text})`, "row");
  w.line(`if (${row} >= ${table}u) { return; }`);
  const value = emitOperand(w, kernel.operands.value, slots, lanes === 4 ? "q" : "", { q: "q" });
  w.line(`let p = ${row} * ${width}u + q % ${width}u;`);
  const names = new Map([["p", "p"]]);
  const emitter = new Emitter({ body: kernel.body, slots, vector: lanes === 4 ? "p" : "", names });
  for (const store of kernel.body.stores) emitter.define(store.value, value);
  storeAll(w, emitter, kernel.body.stores);
  return finish(w, workgroups, 1);
}

/**
 * Stable ascending order by counting: the rank of an element is the number of elements that precede it. Quadratic, but
 * all comparisons are independent, and a micro-batch has a few thousand tokens.
 */
function emitArgsort(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  const w = new Writer();
  const { length } = kernel.sizes;
  const workgroups = begin(w, length, target);
  w.line("let p = position;");
  const own = emitOperand(w, kernel.operands.own, slots, "", { p: "p" }).text;
  w.line("var rank = 0u;");
  w.block(`for (var j = 0u; j < ${length}u; j++)`, () => {
    const other = emitOperand(w, kernel.operands.other, slots, "", { j: "j" }).text;
    w.line(`rank += select(0u, 1u, ${other} < ${own} || (${other} == ${own} && j < p));`);
  });
  const { stores } = kernel.body;
  // The result of invocation p belongs at its rank: the store's own index variable is the rank.
  const emitter = new Emitter({
    body: kernel.body,
    slots,
    vector: "",
    names: new Map([["p", "rank"]]),
  });
  for (const store of stores) emitter.define(store.value, { text: "i32(p)", lanes: 1 });
  storeAll(w, emitter, stores);
  return finish(w, workgroups, length);
}

/** The number of entries below p in an ascending list, by bisection. */
function emitSearch(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  const w = new Writer();
  const { length, size } = kernel.sizes;
  const workgroups = begin(w, size, target);
  w.line("let p = position;");
  w.line("var low = 0u;");
  w.line(`var high = ${length}u;`);
  w.block("while (low < high)", () => {
    w.line("let middle = (low + high) / 2u;");
    const entry = emitOperand(w, kernel.operands.other, slots, "", { j: "middle" }).text;
    w.line(`if (${entry} < i32(p)) { low = middle + 1u; } else { high = middle; }`);
  });
  emitStores(w, kernel, slots, "", "i32(low)");
  return finish(w, workgroups, Math.ceil(Math.log2(length + 1)) + 1);
}
