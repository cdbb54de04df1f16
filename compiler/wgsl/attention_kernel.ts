/**
 * Joins the attention templates to Kernel IR: their hooks evaluate the operands' bodies (views, casts) and store each
 * result where its homes are.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { InternalError } from "../errors.ts";
import type { KernelIR } from "../lower_work.ts";
import { ATTENTION_KERNELS } from "../ops/attention.ts";
import {
  attentionCandidates,
  type AttentionSchedule,
  attentionScheduleName,
  chooseAttentionSchedule,
  emitAttentionForward,
  emitAttentionGradKV,
  emitAttentionGradQ,
} from "./attention.ts";
import type { AttentionHooks, AttentionShape } from "./attention_tile.ts";
import { type EmitContext, Emitter, splat, storeAll } from "./expression.ts";
import type { KernelText } from "./kernel_text.ts";
import { type Access, accessesOf, type Slots } from "./slots.ts";
import type { Template } from "./template.ts";
import type { Writer } from "./writer.ts";

/** Operands that have one number a row instead of one for each channel. */
const ROW_OPERANDS = ["lse", "delta"];

/** The variable of an operand's or result's rows: keys are `t`, queries `m`. */
const ROW_VARIABLE: Readonly<Record<string, string>> = { k: "t", v: "t", dk: "t", dv: "t" };

/** All accesses of an attention kernel. */
export function attentionAccesses(kernel: KernelIR): Access[] {
  return [
    ...Object.entries(kernel.operands).flatMap(([name, { body }]) =>
      accessesOf(body, ROW_OPERANDS.includes(name) ? "" : "n")
    ),
    ...accessesOf(kernel.body, "n"),
  ];
}

/** The template of an attention kernel with the views of its operands and the places of its results. */
export function attentionTemplate(kernel: KernelIR, slots: Slots, target: Capabilities): Template {
  const { kind } = ATTENTION_KERNELS[kernel.op!];
  const { batch, queries, keys, width } = kernel.sizes;
  const { causal, scale } = kernel.attrs as { causal: boolean; scale: number };
  const shape: AttentionShape = { batch, queries, keys, width, causal, scale };
  return {
    title: `attention ${kind} ${batch}x${queries}x${keys}x${width}${causal ? " causal" : ""}`,
    preferred: chooseAttentionSchedule(kind, shape, target),
    candidates: () => attentionCandidates(kind, shape, target),
    nameOf: (schedule) => attentionScheduleName(schedule as AttentionSchedule),
    emit: (schedule) => emitAttention(kernel, slots, target, shape, schedule as AttentionSchedule),
  };
}

function emitAttention(
  kernel: KernelIR,
  slots: Slots,
  target: Capabilities,
  shape: AttentionShape,
  schedule: AttentionSchedule,
): KernelText {
  const results = new Map(
    kernel.body.instructions.flatMap((instruction, id) =>
      instruction.kind === "result" ? [[ATTENTION_KERNELS[instruction.op].result, id]] : []
    ),
  );
  const hooks = new AttentionAccess(kernel, slots, results);
  const wants = (result: string) => results.has(result);
  switch (ATTENTION_KERNELS[kernel.op!].kind) {
    case "forward":
      return emitAttentionForward(shape, schedule, hooks, target, { o: wants("o"), lse: wants("lse") });
    case "gradQ":
      return emitAttentionGradQ(shape, schedule, hooks, target);
    case "gradKV":
      return emitAttentionGradKV(shape, schedule, hooks, target, { dk: wants("dk"), dv: wants("dv") });
  }
}

/** The hooks over Kernel IR. */
class AttentionAccess implements AttentionHooks {
  constructor(
    private readonly kernel: KernelIR,
    private readonly slots: Slots,
    /** Value of each result that is stored. */
    private readonly results: ReadonlyMap<string, number>,
  ) {}

  load: AttentionHooks["load"] = (w, operand, at) => this.#operand(w, operand, at, "n");

  loadRow: AttentionHooks["loadRow"] = (w, operand, at) => this.#operand(w, operand, at, "");

  store: AttentionHooks["store"] = (w, result, at, value) => this.#store(w, result, at, value, "n");

  storeRow: AttentionHooks["storeRow"] = (w, result, at, value) => this.#store(w, result, at, value, "");

  #names(name: string, at: { batch: string; row: string; col?: string }): Map<string, string> {
    const names: [string, string][] = [["z", at.batch], [ROW_VARIABLE[name] ?? "m", at.row]];
    if (at.col !== undefined) names.push(["n", at.col]);
    // Names may be sums: they stand in parentheses wherever they are multiplied.
    return new Map(names.map(([key, text]) => [key, /^\w+$/.test(text) ? text : `(${text})`]));
  }

  #operand(
    w: Writer,
    name: string,
    at: { batch: string; row: string; col?: string },
    vector: string,
  ): string {
    const { body, value } = this.kernel.operands[name];
    const context: EmitContext = { body, slots: this.slots, vector, names: this.#names(name, at) };
    const { text, lanes } = new Emitter(context).value(w, value);
    return vector === "" || lanes === 4 ? text : splat(text, 4, "f32");
  }

  #store(
    w: Writer,
    name: string,
    at: { batch: string; row: string; col?: string },
    value: string,
    vector: string,
  ): void {
    const id = this.results.get(name);
    if (id === undefined) throw new InternalError(`attention computes ${name}, which nobody stores`);
    const { body, sizes: { width } } = this.kernel;
    const limit = vector === "" || width % 4 === 0 ? {} : { limit: width };
    const names = this.#names(name, at);
    const emitter = new Emitter({ body, slots: this.slots, vector, names, ...limit });
    const text = /^\w+$/.test(value) ? value : w.let(value);
    emitter.define(id, { text, lanes: vector === "" ? 1 : 4 });
    storeAll(w, emitter, body.stores.filter((store) => store.value === id));
  }
}
