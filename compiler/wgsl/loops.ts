/**
 * The generators of loop kernels: pointwise (one vec4 an invocation), row and column (one row, or four columns, an
 * invocation; on GPUs long rows get a workgroup and a tree in workgroup memory). Reductions that depend on others run in
 * later passes over the row; element values are computed again in each pass, because a second load from cache is cheaper
 * than keeping a row.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import type { DType } from "../dtype.ts";
import { InternalError } from "../errors.ts";
import { variablesOf } from "../index_expr.ts";
import { type Instruction, levelsOf, type Store, usesOf, type ValueId } from "../kernel.ts";
import type { KernelIR } from "../lower_work.ts";
import { type EmitContext, Emitter, literal, splat, storeAll } from "./expression.ts";
import { foldGrid, type KernelText } from "./kernel_text.ts";
import {
  chooseLoopSchedule,
  loopCandidates,
  loopPositions,
  type LoopSchedule,
  loopScheduleName,
  vectorVariable,
} from "./loop_schedule.ts";
import { registerType, type Slots } from "./slots.ts";
import type { Template } from "./template.ts";
import { Writer } from "./writer.ts";

/** The template of a pointwise, row or column kernel. */
export function loopTemplate(kernel: KernelIR, slots: Slots, target: Capabilities): Template {
  const space = kernel.reduced > 1 ? `${kernel.parallel}x${kernel.reduced}` : `${kernel.parallel}`;
  return {
    title: `${kernel.kind} ${space}`,
    preferred: chooseLoopSchedule(kernel, target),
    candidates: () => loopCandidates(kernel, target),
    nameOf: (schedule) => loopScheduleName(schedule as LoopSchedule),
    isPlain: true,
    emit: (schedule) => new LoopGenerator(kernel, slots, target, schedule as LoopSchedule).run(),
  };
}

class LoopGenerator {
  readonly vector: string;
  readonly cooperative: boolean;
  readonly #w = new Writer();
  readonly #levels;
  readonly #shared: string[] = [];
  #iterations = 0;
  #sharedBytes = 0;

  constructor(
    readonly kernel: KernelIR,
    readonly slots: Slots,
    readonly target: Capabilities,
    readonly schedule: LoopSchedule,
  ) {
    this.#levels = levelsOf(kernel.body);
    this.vector = vectorVariable(kernel);
    this.cooperative = schedule.kind === "workgroup";
  }

  run(): KernelText {
    const { kernel, target } = this;
    const w = this.#w;
    const positions = loopPositions(kernel);
    const size = this.schedule.invocations;
    const workgroups = foldGrid(
      w,
      this.cooperative ? positions : Math.ceil(positions / size),
      target,
      "tile",
    );
    if (this.cooperative) {
      w.line("let p = tile;");
      if (workgroups[1] > 1) w.line(`if (p >= ${positions}u) { return; }`);
    } else {
      w.line(`let position = tile * ${size}u + localIndex;`);
      if (positions !== workgroups[0] * workgroups[1] * size) {
        w.line(`if (position >= ${positions}u) { return; }`);
      }
      w.line(this.vector === "p" ? "let p = position * 4u;" : "let p = position;");
    }
    this.#passes();
    return {
      declarations: this.#shared.map((line) => `${line}\n`).join(""),
      body: w.toString(),
      workgroupSize: [size, 1, 1],
      workgroups,
      loopIterations: this.#iterations,
      workgroupBytes: this.#sharedBytes,
    };
  }

  #context(names: Record<string, string>): EmitContext {
    return {
      body: this.kernel.body,
      slots: this.slots,
      vector: this.vector,
      names: new Map(Object.entries({ p: "p", ...names })),
    };
  }

  #passes(): void {
    const { body, reduced } = this.kernel;
    const row = new Emitter(this.#context({}));
    const needed = neededValues(this.kernel);
    const reductions = body.instructions.map((instruction, id) => ({ instruction, id }))
      .filter(({ instruction, id }) => instruction.kind === "reduce" && needed.has(id));
    const deepest = Math.max(0, ...reductions.map(({ id }) => this.#levels.depth[id]));
    for (let depth = 1; depth <= deepest; depth++) {
      const now = reductions.filter(({ id }) => this.#levels.depth[id] === depth);
      if (now.length > 0) this.#reduce(row, now.map(({ id }) => id));
    }
    const varying = body.stores.filter((store) => this.#varies(store) && reduced > 1);
    const fixed = body.stores.filter((store) => !varying.includes(store));
    this.#storeRows(row, fixed);
    if (varying.length > 0) {
      this.#loop(row, varying.map((store) => store.value), (element) => {
        storeAll(this.#w, element, varying);
      });
    }
  }

  #varies(store: Store): boolean {
    return this.#levels.varies[store.value] || variablesOf(store.index).has("r");
  }

  #storeRows(row: Emitter, stores: readonly Store[]): void {
    if (stores.length === 0) return;
    const w = this.#w;
    // Along rows a store happens once a row, so it is scalar code even where the loop is not.
    const scalar = this.vector === "r" ? row.withVector("") : row;
    if (!this.cooperative) {
      storeAll(w, scalar, stores);
      return;
    }
    w.block("if (localIndex == 0u)", () => storeAll(w, scalar, stores));
  }

  /** A loop over the reduced variable; values that do not vary are computed before it. */
  #loop(row: Emitter, values: readonly ValueId[], inside: (element: Emitter) => void): void {
    const w = this.#w;
    const { reduced } = this.kernel;
    const steps = this.vector === "r" ? reduced / 4 : reduced;
    for (const value of values) this.#hoist(row, value, new Set());
    const [first, stride] = this.cooperative ? ["localIndex", this.schedule.invocations] : ["0u", 1];
    this.#iterations += Math.ceil(steps / stride);
    w.block(`for (var step = ${first}; step < ${steps}u; step += ${stride}u)`, () => {
      w.line(this.vector === "r" ? "let r = step * 4u;" : "let r = step;");
      inside(new Emitter(this.#context({ r: "r" }), row));
    });
  }

  #hoist(row: Emitter, id: ValueId, seen: Set<ValueId>): void {
    if (seen.has(id)) return;
    seen.add(id);
    if (!this.#levels.varies[id]) row.value(this.#w, id);
    else for (const use of usesOf(this.kernel.body.at(id))) this.#hoist(row, use, seen);
  }

  #reduce(row: Emitter, ids: readonly ValueId[]): void {
    const w = this.#w;
    const { body } = this.kernel;
    const lanes = this.vector === "" ? 1 : 4;
    const accumulators = ids.map((id) => {
      const instruction = body.at(id) as Extract<Instruction, { kind: "reduce" }>;
      const { dtype } = body.at(instruction.arg);
      const name = w.fresh(instruction.op);
      const start = instruction.op === "sum" ? literal(0, dtype) : lowest(dtype);
      w.line(`var ${name} = ${splat(start, lanes, dtype)};`);
      const at = instruction.op === "argmax" ? w.fresh("at") : "";
      if (at) w.line(`var ${at} = ${splat("0u", lanes, "u32")};`);
      return { id, name, at, dtype, op: instruction.op, arg: instruction.arg };
    });
    this.#loop(row, accumulators.map(({ arg }) => arg), (element) => {
      for (const { name, at, dtype, op, arg } of accumulators) {
        const value = element.value(w, arg);
        const text = value.lanes === lanes ? value.text : splat(value.text, lanes, dtype);
        if (op === "sum") w.line(`${name} += ${text};`);
        else if (op === "max") w.line(`${name} = max(${name}, ${text});`);
        else {
          const better = w.let(`${text} > ${name}`, "better");
          const here = this.vector === "r"
            ? "vec4<u32>(r, r + 1u, r + 2u, r + 3u)"
            : splat("r", lanes, "u32");
          w.line(`${at} = select(${at}, ${here}, ${better});`);
          w.line(`${name} = select(${name}, ${text}, ${better});`);
        }
      }
    });
    for (const { id, name, at, dtype, op } of accumulators) {
      row.define(
        id,
        this.vector === "r" ? this.#acrossLanes(name, at, dtype, op) : {
          text: at ? w.let(`${lanes === 4 ? "vec4<i32>" : "i32"}(${at})`) : name,
          lanes,
        },
      );
    }
  }

  /** Combines the four lanes of a row's accumulator, and on a GPU those of the workgroup. */
  #acrossLanes(name: string, at: string, dtype: DType, op: string) {
    const w = this.#w;
    if (op === "argmax") {
      const best = w.fresh("best");
      const where = w.fresh("where");
      w.line(`var ${best} = ${name}.x;`);
      w.line(`var ${where} = ${at}.x;`);
      for (const lane of ["y", "z", "w"]) this.#better(best, where, `${name}.${lane}`, `${at}.${lane}`);
      if (this.cooperative) this.#treeArgmax(best, where, dtype);
      return { text: w.let(`i32(${where})`), lanes: 1 as const };
    }
    const join = (a: string, b: string) => op === "sum" ? `${a} + ${b}` : `max(${a}, ${b})`;
    const pairs = [join(`${name}.x`, `${name}.y`), join(`${name}.z`, `${name}.w`)];
    let text = w.let(op === "sum" ? `(${pairs[0]}) + (${pairs[1]})` : join(pairs[0], pairs[1]), op);
    if (this.cooperative) text = this.#tree(text, dtype, join);
    return { text, lanes: 1 as const };
  }

  #better(best: string, where: string, value: string, at: string): void {
    this.#w.block(`if (${value} > ${best} || (${value} == ${best} && ${at} < ${where}))`, () => {
      this.#w.line(`${best} = ${value};`);
      this.#w.line(`${where} = ${at};`);
    });
  }

  #scratch(type: string): string {
    const name = `scratch_${type}`;
    const line = `var<workgroup> ${name}: array<${type}, ${this.schedule.invocations}>;`;
    if (!this.#shared.includes(line)) {
      this.#shared.push(line);
      this.#sharedBytes += this.schedule.invocations * 4;
    }
    return name;
  }

  /** A fixed binary tree in workgroup memory: the order of a sum never changes. */
  #tree(value: string, dtype: DType, join: (a: string, b: string) => string) {
    const w = this.#w;
    const scratch = this.#scratch(registerType(dtype));
    w.line(`${scratch}[localIndex] = ${value};`);
    w.line("workgroupBarrier();");
    this.#halve(() => {
      w.line(`${scratch}[localIndex] = ${join(`${scratch}[localIndex]`, `${scratch}[localIndex + half]`)};`);
    });
    const result = w.let(`${scratch}[0]`, "whole");
    w.line("workgroupBarrier();");
    return result;
  }

  #treeArgmax(best: string, where: string, dtype: DType): void {
    const w = this.#w;
    const values = this.#scratch(registerType(dtype));
    const places = this.#scratch("u32");
    if (values === places) throw new InternalError("argmax of u32 rows in a workgroup is not supported");
    w.line(`${values}[localIndex] = ${best};`);
    w.line(`${places}[localIndex] = ${where};`);
    w.line("workgroupBarrier();");
    this.#halve(() => {
      this.#better(
        `${values}[localIndex]`,
        `${places}[localIndex]`,
        `${values}[localIndex + half]`,
        `${places}[localIndex + half]`,
      );
    });
    w.line(`${where} = ${places}[0];`);
    w.line("workgroupBarrier();");
  }

  #halve(step: () => void): void {
    const w = this.#w;
    this.#iterations += Math.log2(this.schedule.invocations);
    w.block(`for (var half = ${this.schedule.invocations / 2}u; half > 0u; half = half / 2u)`, () => {
      w.block("if (localIndex < half)", step);
      w.line("workgroupBarrier();");
    });
  }
}

function lowest(dtype: string): string {
  if (dtype === "i32") return "i32(-2147483648)";
  if (dtype === "u32") return "0u";
  return "-3.40282346e38f";
}

/** Values that the stores of a kernel depend on. */
export function neededValues(kernel: KernelIR): Set<ValueId> {
  const needed = new Set<ValueId>();
  const stack = kernel.body.stores.map((store) => store.value);
  for (const store of kernel.body.stores) {
    for (const name of variablesOf(store.index)) if (name.startsWith("@")) stack.push(Number(name.slice(1)));
  }
  while (stack.length > 0) {
    const id = stack.pop()!;
    if (needed.has(id)) continue;
    needed.add(id);
    stack.push(...usesOf(kernel.body.at(id)));
  }
  return needed;
}
