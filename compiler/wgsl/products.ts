/**
 * Joins the matmul template to Kernel IR: its hooks evaluate the operands' bodies (views, casts, any prologue) and the
 * epilogue's body with its stores.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { InternalError } from "../errors.ts";
import type { KernelIR, Operand } from "../lower_work.ts";
import { contiguity } from "../lower.ts";
import { Emitter, splat, storeAll } from "./expression.ts";
import type { KernelText } from "./kernel_text.ts";
import {
  chooseMatmulSchedule,
  emitMatmul,
  matmulCandidates,
  type MatmulSchedule,
  scheduleName,
} from "./matmul.ts";
import { type Access, accessesOf, type Slots } from "./slots.ts";
import type { Template } from "./template.ts";
import type { MatmulShape } from "./tile.ts";
import type { Writer } from "./writer.ts";

/**
 * Shape of a product and the axes along which its operands are read four at a time: where they are contiguous. Without
 * tiles an invocation has one row of A, so A can only be read along the depth.
 */
function matmulShape(kernel: KernelIR, tiled: boolean): MatmulShape {
  const { batch, rows, cols, depth } = kernel.sizes;
  const { a, b } = kernel.operands;
  return {
    batch,
    rows,
    cols,
    depth,
    aContiguous: !tiled || contiguity(a.body, "k") >= contiguity(a.body, "m") ? "depth" : "rows",
    bContiguous: contiguity(b.body, "k") >= contiguity(b.body, "n") ? "depth" : "cols",
  };
}

/** All accesses of a product's kernel. */
export function matmulAccesses(kernel: KernelIR, tiled: boolean): Access[] {
  const { aContiguous, bContiguous } = matmulShape(kernel, tiled);
  return [
    ...accessesOf(kernel.operands.a.body, aContiguous === "depth" ? "k" : "m"),
    ...accessesOf(kernel.operands.b.body, bContiguous === "depth" ? "k" : "n"),
    ...accessesOf(kernel.body, "n"),
  ];
}

/**
 * One vec4 of the result an invocation, nothing shared between invocations: what a product costs without tiles, and the
 * product of eager mode.
 */
const UNTILED: MatmulSchedule = {
  kind: "register",
  rows: 1,
  cols: 4,
  groupRows: 8,
  groupCols: 8,
  depthStep: 4,
  band: 1,
};

/** Emits a product with its prologues and epilogue, without tiles. */
export function emitUntiledProduct(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  return emitProduct(kernel, slots, target, matmulShape(kernel, false), UNTILED);
}

/** The template of a product with its prologues and epilogue. */
export function productTemplate(kernel: KernelIR, slots: Slots, target: Capabilities): Template {
  const shape = matmulShape(kernel, true);
  const { batch, rows, cols, depth, aContiguous, bContiguous } = shape;
  return {
    title: `matmul ${batch}x${rows}x${cols}x${depth} ${aContiguous},${bContiguous}`,
    preferred: chooseMatmulSchedule(shape, target),
    candidates: () => matmulCandidates(shape, target),
    nameOf: (schedule) => scheduleName(schedule as MatmulSchedule),
    emit: (schedule) => emitProduct(kernel, slots, target, shape, schedule as MatmulSchedule),
  };
}

function emitProduct(
  kernel: KernelIR,
  slots: Slots,
  target: Capabilities,
  shape: MatmulShape,
  schedule: MatmulSchedule,
): KernelText {
  const load = (operand: Operand, vector: string, names: Record<string, string>) => (w: Writer) => {
    const context = { body: operand.body, slots, vector, names: namesOf(names) };
    const { text, lanes } = new Emitter(context).value(w, operand.value);
    return lanes === 4 ? text : splat(text, 4, "f32");
  };
  const { a, b } = kernel.operands;
  const resultOf = (isSum: boolean) =>
    kernel.body.instructions.findIndex((instruction) =>
      instruction.kind === "result" && (instruction.op === "sum") === isSum
    );
  const [result, sums] = [resultOf(false), resultOf(true)];
  if (result < 0) throw new InternalError("a product's epilogue does not use the product");
  const stores = kernel.body.stores.filter((store) => store.value !== sums);
  const emitterAt = (at: Record<string, string>) => {
    const limit = shape.cols % 4 === 0 ? {} : { limit: shape.cols };
    return new Emitter({ body: kernel.body, slots, vector: "n", names: namesOf(at), ...limit });
  };
  return emitMatmul(shape, schedule, {
    loadA: (w, { batch, row, depth }) =>
      load(a, shape.aContiguous === "depth" ? "k" : "m", { z: batch, m: row, k: depth })(w),
    loadScalarA: (w, { batch, row, depth }) => {
      const names = namesOf({ z: batch, m: row, k: depth });
      return new Emitter({ body: a.body, slots, vector: "", names }).value(w, a.value).text;
    },
    loadB: (w, { batch, col, depth }) =>
      load(b, shape.bContiguous === "depth" ? "k" : "n", { z: batch, n: col, k: depth })(w),
    store: (w, { batch, row, col }, value) => {
      const emitter = emitterAt({ z: batch, m: row, n: col });
      emitter.define(result, { text: value, lanes: 4 });
      storeAll(w, emitter, stores);
    },
    ...(sums < 0 ? {} : {
      storeColumnSums: (w, { batch, col }, value) => {
        const emitter = emitterAt({ z: batch, n: col });
        emitter.define(sums, { text: value, lanes: 4 });
        storeAll(w, emitter, kernel.body.stores.filter((store) => store.value === sums));
      },
    }),
  }, target);
}

/** Names may be sums: they stand in parentheses wherever they are multiplied. */
function namesOf(names: Record<string, string>): Map<string, string> {
  return new Map(Object.entries(names).map(([key, text]) => [key, /^\w+$/.test(text) ? text : `(${text})`]));
}
