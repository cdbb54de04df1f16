/**
 * Kernel IR to kernels and dispatches: chooses windows that fit the bindings, generates the text, shares equal kernels,
 * and checks every limit that Deno leaves unchecked, with the number and the limit in the message.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { InternalError, LimitError } from "./errors.ts";
import { hashText } from "./hash.ts";
import { type IndexExpr, rangeOf } from "./index_expr.ts";
import type { Body } from "./kernel.ts";
import type { KernelIR } from "./lower_work.ts";
import { ATTENTION_KERNELS } from "./ops/attention.ts";
import { CACHED_ATTENTION } from "./ops/cached_attention.ts";
import { OPS } from "./ops/mod.ts";
import { PHILOX_WGSL } from "./ops/leaves.ts";
import type { Placement } from "./plan.ts";
import { printKernel } from "./print_kernel.ts";
import type { BufferRange, Dispatch, KernelSource, KernelTemplate, ProgramScalar } from "./program.ts";
import { windowAxes, windowOf } from "./windows.ts";
import { attentionAccesses, attentionTemplate } from "./wgsl/attention_kernel.ts";
import { cachedAccesses, emitCachedAttention } from "./wgsl/cached_attention.ts";
import { emitIndexed, emitSegmentSum, indexedAccesses } from "./wgsl/indexed.ts";
import type { KernelText } from "./wgsl/kernel_text.ts";
import { vectorVariable } from "./wgsl/loop_schedule.ts";
import { loopTemplate } from "./wgsl/loops.ts";
import { assembleModule } from "./wgsl/module.ts";
import { emitUntiledProduct, matmulAccesses, productTemplate } from "./wgsl/products.ts";
import { packedFunctions } from "./wgsl/packed.ts";
import { type Access, accessesOf, type Slot, Slots } from "./wgsl/slots.ts";
import { findCandidate, type Schedule, type ScheduleLookup, type Template } from "./wgsl/template.ts";

/** A kernel that could be cut in other ways, and how to get it so: what a tuner works with. */
export interface Tunable {
  /** Index into `Program.kernels`. */
  readonly kernel: number;
  /** See {@link KernelTemplate}. */
  readonly key: string;
  /** The schedule that the template would choose. */
  readonly preferred: Schedule;
  /** What its storage bindings hold, in binding order. */
  readonly dtypes: readonly DType[];
  /** Schedules that fit the target, the preferred one first, then by promise. */
  candidates(): readonly Schedule[];
  /** A schedule in words. */
  nameOf(schedule: Schedule): string;
  /**
   * The same kernel, with the same bindings, under another schedule.
   *
   * @throws {LimitError} when the schedule needs more than the target allows.
   */
  variant(schedule: Schedule): Variant;
}

/** One schedule of a {@link Tunable}. */
export interface Variant {
  /** The kernel. */
  readonly source: KernelSource;
  /** Workgroups of its dispatches. */
  readonly workgroups: Dispatch["workgroups"];
}

/** Kernels shared by text, and the dispatches that launch them. */
export class KernelSet {
  readonly kernels: KernelSource[] = [];
  readonly dispatches: Dispatch[] = [];
  /** By kernel. */
  readonly tunables: Tunable[] = [];
  readonly #byText = new Map<string, number>();

  constructor(
    readonly placement: Placement,
    readonly scalars: readonly ProgramScalar[],
    readonly scalarsBuffer: number,
    readonly target: Capabilities,
    /** Whether products are cut into tiles. */
    readonly tiled = true,
    /** Schedules that were measured before. */
    readonly schedules: ScheduleLookup = () => undefined,
  ) {}

  /** Adds the dispatches of one kernel; `group` tells which fusion group it belongs to. */
  add(kernel: KernelIR, group: number): void {
    for (const part of this.#windows(kernel)) this.#launch(part.kernel, part.slots, group);
  }

  #slots(kernel: KernelIR): Slots {
    const written = new Set(kernel.body.stores.map((store) => this.placement.at[store.tensor].buffer));
    const exclusive = (root: number) => written.has(this.placement.at[root].buffer);
    return new Slots(
      accessesFor(kernel, this.tiled),
      this.target,
      exclusive,
      (root) => this.placement.elements[root],
    );
  }

  /** The kernel itself, or halves of it, again and again, until their bindings fit. */
  #windows(kernel: KernelIR): { kernel: KernelIR; slots: Slots }[] {
    const slots = this.#slots(kernel);
    const tooLarge = this.#tooLarge(slots);
    if (!tooLarge) return [{ kernel, slots }];
    let best: { first: KernelIR; rest: KernelIR; bytes: number } | undefined;
    for (const { name, length, unit } of windowAxes(kernel)) {
      const half = Math.ceil(length / 2 / unit) * unit;
      if (half >= length) continue;
      const first = windowOf(kernel, name, 0, half);
      const most = Math.max(...this.#slots(first).list.map(bytesOf));
      if (most >= (best?.bytes ?? bytesOf(tooLarge))) continue;
      best = { first, rest: windowOf(kernel, name, half, length - half), bytes: most };
    }
    if (best) return [...this.#windows(best.first), ...this.#windows(best.rest)];
    const bytes = bytesOf(tooLarge);
    throw new LimitError(
      `kernel ${kernel.title} reads or writes a tensor at scattered places; its binding`,
      "maxStorageBufferBindingSize",
      bytes,
      this.target.maxBindingBytes,
    );
  }

  /** The largest binding, if it is too large. */
  #tooLarge(slots: Slots): Slot | undefined {
    const [largest] = [...slots.list].sort((a, b) => bytesOf(b) - bytesOf(a));
    return largest && bytesOf(largest) > this.target.maxBindingBytes ? largest : undefined;
  }

  #launch(kernel: KernelIR, slots: Slots, group: number): void {
    const ir = printKernel(kernel, slots);
    const template = templateOf(kernel, slots, this.target, this.tiled);
    const choice = template && this.#choose(template, ir);
    const text = template && choice ? template.emit(choice.schedule) : generate(kernel, slots, this.target);
    const isListed = template !== undefined && (!template.isPlain || choice!.tuned);
    const source = this.#source(kernel, slots, text, ir, choice, isListed);
    let index = this.#byText.get(source.wgsl);
    if (index === undefined) {
      index = this.kernels.length;
      this.#byText.set(source.wgsl, index);
      this.kernels.push(source);
      if (template && choice) {
        this.tunables.push({
          kernel: index,
          key: choice.key,
          preferred: template.preferred,
          candidates: () => template.candidates(),
          nameOf: (schedule) => template.nameOf(schedule),
          dtypes: slots.list.map((slot) => slot.dtype),
          variant: (schedule) => {
            const text = template.emit(schedule);
            const other = { ...choice, ...describe(template, schedule) };
            return { source: this.#source(kernel, slots, text, ir, other), workgroups: text.workgroups };
          },
        });
      }
    }
    const ranges: BufferRange[] = slots.list.map((slot) => {
      const { buffer, offset } = this.placement.at[slot.root];
      return { buffer, offset: offset + slot.base * bytesPerElement(slot.dtype), size: bytesOf(slot) };
    });
    if (source.bindings.includes("uniform")) {
      ranges.push({ buffer: this.scalarsBuffer, offset: 0, size: scalarsBytes(this.scalars.length) });
    }
    this.dispatches.push({
      kernel: index,
      ranges,
      workgroups: text.workgroups,
      group,
      bytes: trafficBytes(kernel, slots),
      flops: flopsOf(kernel),
    });
  }

  /** The schedule that was measured before, as far as the template still offers it, or the template's own choice. */
  #choose(template: Template, ir: string): KernelTemplate {
    const key = `${template.title} ${hashText(ir)}`;
    const stored = this.schedules(key);
    const schedule = stored && findCandidate(template, stored);
    return { key, ...describe(template, schedule ?? template.preferred) };
  }

  /** The kernel with its name and bindings; equal kernels have equal texts. */
  #source(
    kernel: KernelIR,
    slots: Slots,
    text: KernelText,
    ir: string,
    template?: KernelTemplate,
    isListed = true,
  ): KernelSource {
    this.#check(kernel, slots, text);
    const usesScalars = /\bscalars\./.test(text.body);
    const bindings = slots.declarations();
    if (usesScalars) bindings.push("var<uniform> scalars: Scalars");
    const philox = text.body.includes("philox(") ? PHILOX_WGSL : "";
    const packed = packedFunctions(text.body);
    const declarations = `${usesScalars ? this.#scalarsStruct() : ""}${philox}${packed}${text.declarations}`;
    const about = [kernel.title];
    const draft = { about, bindings, body: text.body, workgroupSize: text.workgroupSize };
    const anonymous = assembleModule({ ...draft, declarations, name: "main" });
    const slug = kernel.title.replaceAll(/\W+/g, "_").slice(0, 40);
    const name = `${kernel.kind}_${slug}_${hashText(anonymous).slice(0, 6)}`;
    return {
      name,
      wgsl: assembleModule({
        ...draft,
        about: template && isListed ? [...about, template.scheduleName] : about,
        declarations,
        name,
      }),
      bindings: [
        ...slots.list.map((slot) => slot.write ? "read_write" as const : "read" as const),
        ...(usesScalars ? ["uniform" as const] : []),
      ],
      workgroupSize: text.workgroupSize,
      ir: template && isListed ? `${ir}  schedule ${template.scheduleName}\n` : ir,
      loopIterations: text.loopIterations,
      workgroupBytes: text.workgroupBytes,
      ...(template ? { template } : {}),
    };
  }

  #scalarsStruct(): string {
    const fields = this.scalars.map(({ name, dtype }) => `  ${name}: ${dtype === "bool" ? "u32" : dtype},\n`);
    return `struct Scalars {\n${fields.join("")}}\n`;
  }

  #check(kernel: KernelIR, slots: Slots, text: KernelText): void {
    const { target } = this;
    const name = `kernel ${kernel.title}`;
    const refuse = (limit: string, needed: number, allowed: number) => {
      if (needed > allowed) throw new LimitError(name, limit, needed, allowed);
    };
    refuse("maxStorageBuffersPerShaderStage", slots.list.length, target.maxStorageBuffers);
    refuse("maxLoopIterations", text.loopIterations, target.maxLoopIterations);
    refuse("maxComputeWorkgroupStorageSize", text.workgroupBytes, target.maxWorkgroupBytes);
    refuse(
      "maxComputeInvocationsPerWorkgroup",
      text.workgroupSize.reduce((a, b) => a * b),
      target.maxInvocations,
    );
    for (const count of text.workgroups) {
      refuse("maxComputeWorkgroupsPerDimension", count, target.maxWorkgroups);
    }
  }
}

/** Bytes of a slot's binding. */
function bytesOf(slot: Slot): number {
  return Math.ceil(slot.elements * bytesPerElement(slot.dtype) / 4) * 4;
}

function accessesFor(kernel: KernelIR, tiled: boolean): Access[] {
  if (kernel.kind === "matmul") return matmulAccesses(kernel, tiled);
  if (kernel.kind === "attention") return attentionAccesses(kernel);
  if (kernel.op === CACHED_ATTENTION) return cachedAccesses(kernel);
  if (kernel.kind === "segment" || kernel.kind === "indexed") return indexedAccesses(kernel);
  return accessesOf(kernel.body, vectorVariable(kernel));
}

/** The template of a kernel that has one. */
function templateOf(
  kernel: KernelIR,
  slots: Slots,
  target: Capabilities,
  tiled: boolean,
): Template | undefined {
  switch (kernel.kind) {
    case "matmul":
      return tiled ? productTemplate(kernel, slots, target) : undefined;
    case "attention":
      return attentionTemplate(kernel, slots, target);
    case "pointwise":
    case "row":
    case "column":
      return loopTemplate(kernel, slots, target);
    default:
      return undefined;
  }
}

function describe(template: Template, schedule: Schedule): Omit<KernelTemplate, "key"> {
  const scheduleName = template.nameOf(schedule);
  return { schedule, scheduleName, tuned: scheduleName !== template.nameOf(template.preferred) };
}

function generate(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  switch (kernel.kind) {
    case "matmul":
      return emitUntiledProduct(kernel, slots, target);
    case "segment":
      return emitSegmentSum(kernel, slots, target);
    case "indexed":
      if (kernel.op === CACHED_ATTENTION) return emitCachedAttention(kernel, slots, target);
      return emitIndexed(kernel, slots, target);
    default:
      throw new InternalError(`no generator for ${kernel.kind}`);
  }
}

/** Bytes that must move: each range that is read, and each that is written, once. */
function trafficBytes(kernel: KernelIR, slots: Slots): number {
  const count = (kind: "load" | "store", accesses: readonly { tensor: number; index: IndexExpr }[]) => {
    const slotsSeen = new Set<string>();
    let bytes = 0;
    for (const { tensor, index } of accesses) {
      const slot = slots.find(tensor, index);
      if (slotsSeen.has(`${kind} ${slot.name}`)) continue;
      slotsSeen.add(`${kind} ${slot.name}`);
      const [low, high] = rangeOf(index);
      bytes += (Math.max(0, high) - Math.max(0, low) + 1) * bytesPerElement(slot.dtype);
    }
    return bytes;
  };
  const bodies: Body[] = [kernel.body, ...Object.values(kernel.operands).map((operand) => operand.body)];
  const loads = bodies.flatMap((body) =>
    body.instructions.filter((instruction) => instruction.kind === "load")
  ) as { tensor: number; index: IndexExpr }[];
  if (kernel.op === "setRows") { // stores where it is told to, not everywhere that it could
    const { count: rows, width } = kernel.sizes;
    const written = kernel.body.stores.map(({ dtype }) => rows * width * bytesPerElement(dtype));
    return written.reduce((sum, bytes) => sum + bytes, count("load", loads));
  }
  return count("load", loads) + count("store", kernel.body.stores);
}

/** Floating-point operations: two for each multiply-add of a product, the op's cost for each pointwise op. */
function flopsOf(kernel: KernelIR): number {
  const pointwise = kernel.body.instructions.reduce((sum, instruction) => {
    if (instruction.kind === "apply") return sum + (OPS[instruction.op].cost ?? 1);
    return sum + (instruction.kind === "reduce" ? 1 : 0);
  }, 0);
  if (kernel.kind === "matmul") {
    const { batch, rows, cols, depth } = kernel.sizes;
    return batch * rows * cols * (2 * depth + pointwise);
  }
  if (kernel.kind === "attention") return attentionFlops(kernel);
  return kernel.parallel * kernel.reduced * pointwise;
}

/** Products of an attention kernel over the visible half of the scores: two forward, three for dq, four for dk and dv. */
function attentionFlops(kernel: KernelIR): number {
  const { batch, queries, keys, width } = kernel.sizes;
  const products = { forward: 2, gradQ: 3, gradKV: 4 }[ATTENTION_KERNELS[kernel.op!].kind];
  const visible = kernel.attrs!.causal ? 0.5 : 1;
  return 2 * products * batch * queries * keys * width * visible;
}

/** Bytes of a uniform buffer with `count` scalars: uniform structs are multiples of 16 bytes. */
export function scalarsBytes(count: number): number {
  return Math.ceil(count / 4) * 16;
}
