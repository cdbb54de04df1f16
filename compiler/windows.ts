/**
 * Windows: a kernel over tensors larger than one binding may cover runs as several dispatches, each over a part of its
 * outermost loop. The part's start moves into the bindings' offsets, so the dispatches usually share one kernel.
 *
 * @module
 */
import { add, constantIndex, type IndexExpr, substitute, variable } from "./index_expr.ts";
import { Body, type Instruction } from "./kernel.ts";
import type { KernelIR, Operand } from "./lower_work.ts";

/** Part of a kernel from `start`, `size` long, along a loop variable: `p`, or `z`, `m` or `n` of a product, `z` of attention. */
export function windowOf(kernel: KernelIR, name: string, start: number, size: number): KernelIR {
  const values = new Map([[name, add(variable(name, size), constantIndex(start))]]);
  const body = move(kernel.body, values);
  const operands: Record<string, Operand> = {};
  for (const [key, operand] of Object.entries(kernel.operands)) {
    operands[key] = { body: move(operand.body, values), value: operand.value };
  }
  const axes: Record<string, string> = { z: "batch", m: "rows", n: "cols" };
  const axis = kernel.kind === "attention" || kernel.kind === "matmul" ? axes[name] : undefined;
  if (axis) return { ...kernel, body, operands, sizes: { ...kernel.sizes, [axis]: size } };
  return { ...kernel, body, operands, parallel: size };
}

/** Axes along which a kernel can be cut, with their lengths and the multiple at which to cut, best first. */
export function windowAxes(kernel: KernelIR): { name: string; length: number; unit: number }[] {
  if (kernel.kind === "indexed") return [];
  if (kernel.kind === "attention") return [{ name: "z", length: kernel.sizes.batch, unit: 1 }];
  if (kernel.kind !== "matmul") {
    const unit = kernel.kind === "row" ? 1 : kernel.kind === "segment" ? kernel.sizes.width * 4 : 64;
    return [{ name: "p", length: kernel.parallel, unit }];
  }
  const { batch, rows, cols } = kernel.sizes;
  return [
    { name: "z", length: batch, unit: 1 },
    { name: "n", length: cols, unit: tileUnit(cols) },
    { name: "m", length: rows, unit: tileUnit(rows) },
  ].filter(({ length }) => length > 1);
}

/** Whole tiles where there are several, whole vec4s where there are not. */
function tileUnit(length: number): number {
  return length > 64 ? 64 : length > 4 ? 4 : 1;
}

/** The same body with index variables replaced. */
function move(body: Body, values: ReadonlyMap<string, IndexExpr>): Body {
  const moved = new Body();
  for (const instruction of body.instructions) {
    moved.instructions.push(
      "index" in instruction
        ? { ...instruction, index: substitute(instruction.index, values) } as Instruction
        : instruction,
    );
  }
  for (const store of body.stores) moved.stores.push({ ...store, index: substitute(store.index, values) });
  return moved;
}
