/**
 * The one emitter of scalar and vec4 expressions, shared by loops and by the prologues and epilogues of templates: Kernel
 * IR in, WGSL statements out. A value is either the same for four neighbours (scalar text) or a vec4; the two mix freely.
 *
 * @module
 */
import { type DType, isHalf } from "../dtype.ts";
import { InternalError } from "../errors.ts";
import { add, constantIndex, type IndexExpr, indexToWgsl, laneStep, variablesOf } from "../index_expr.ts";
import {
  type Body,
  type Instruction,
  isValueName,
  type Store,
  type ValueId,
  valueOfName,
} from "../kernel.ts";
import { OPS } from "../ops/mod.ts";
import { isPackable, packed, packedElement, roundedTo, unpacked } from "./packed.ts";
import { registerType, type Slot, type Slots, stepOf, storageType } from "./slots.ts";
import type { Writer } from "./writer.ts";

/** WGSL text of a value and how many lanes it has. */
export interface Emitted {
  readonly text: string;
  readonly lanes: 1 | 4;
}

/** Fixed facts of one emission. */
export interface EmitContext {
  readonly body: Body;
  readonly slots: Slots;
  /** Variable that runs over four neighbours; "" for scalar code. */
  readonly vector: string;
  /** WGSL text of each loop variable. */
  readonly names: ReadonlyMap<string, string>;
  /** Size of the vector variable when it is not a multiple of four: stores stop there. */
  readonly limit?: number;
}

/** Emits values of one body. Nested scopes see the values of their parents, not the other way round. */
export class Emitter {
  readonly #known: Map<ValueId, Emitted>;

  constructor(readonly context: EmitContext, parent?: Emitter) {
    this.#known = new Map(parent ? parent.#known : []);
  }

  /** The same values seen by code that handles `vector` neighbours together (or none, with ""). */
  withVector(vector: string): Emitter {
    return new Emitter({ ...this.context, vector }, this);
  }

  /** Gives a value its text from outside: a finished reduction, a template's result. */
  define(id: ValueId, value: Emitted): void {
    this.#known.set(id, value);
  }

  /** Appends what is needed to compute a value and returns its text. */
  value(w: Writer, id: ValueId): Emitted {
    const known = this.#known.get(id);
    if (known) return known;
    const instruction = this.context.body.at(id);
    const emitted = this.#emit(w, instruction);
    const named = isAtomic(emitted.text) ? emitted : { text: w.let(emitted.text), lanes: emitted.lanes };
    this.#known.set(id, named);
    return named;
  }

  #emit(w: Writer, instruction: Instruction): Emitted {
    switch (instruction.kind) {
      case "constant":
        return { text: literal(instruction.value, instruction.dtype), lanes: 1 };
      case "scalar": {
        const text = `scalars.${instruction.name}`;
        return { text: instruction.dtype === "bool" ? `(${text} != 0u)` : text, lanes: 1 };
      }
      case "index":
        return this.#index(w, instruction.index, instruction.dtype);
      case "inside": {
        const { text, lanes } = this.#index(w, instruction.index, "u32");
        const { low, high } = instruction;
        const above = low > 0 ? `${text} >= ${splat(`${low}u`, lanes, "u32")}` : "";
        const below = `${text} < ${splat(`${high}u`, lanes, "u32")}`;
        const joined = lanes === 1 ? `${above} && ${below}` : `(${above}) & (${below})`;
        return { text: above ? joined : below, lanes };
      }
      case "load":
        return this.#load(w, instruction);
      case "random": {
        const key = this.value(w, instruction.key);
        const { text, lanes } = this.#index(w, instruction.index, "u32");
        const stream = `${instruction.stream}u`;
        if (lanes === 1 && key.lanes === 1) return { text: `philox(${text}, ${stream}, ${key.text})`, lanes };
        const part = (of: Emitted, lane: number) => of.lanes === 4 ? `${of.text}[${lane}]` : of.text;
        const each = [0, 1, 2, 3].map((lane) =>
          `philox(${part({ text, lanes }, lane)}, ${stream}, ${part(key, lane)})`
        );
        return { text: `vec4<u32>(${each.join(", ")})`, lanes: 4 };
      }
      case "apply":
        return this.#apply(w, instruction);
      case "reduce":
      case "result":
        throw new InternalError(`${instruction.kind} was not defined before it was used`);
    }
  }

  #apply(w: Writer, instruction: Extract<Instruction, { kind: "apply" }>): Emitted {
    const args = instruction.args.map((arg) => this.value(w, arg));
    const lanes = args.some((arg) => arg.lanes === 4) ? 4 : 1;
    const dtypes = instruction.args.map((arg) => this.context.body.at(arg).dtype);
    const texts = args.map((arg, i) => arg.lanes === lanes ? arg.text : splat(arg.text, lanes, dtypes[i]));
    const { op, attrs, dtype } = instruction;
    const spec = OPS[op];
    if (!spec.wgsl) throw new InternalError(`op ${op} has no WGSL expression`);
    const text = spec.wgsl(texts, { dtype: dtypes[0], lanes }, attrs);
    // Rounding to 16 bits must survive inside a kernel, or fused and unfused programs would differ.
    if (op !== "cast" || !isHalf(dtype)) return { text, lanes };
    const packs = isPackable(dtype, this.context.slots.packsF16);
    return { text: packs ? roundedTo(dtype, text, lanes) : throughF16(text, lanes), lanes };
  }

  #index(w: Writer, index: IndexExpr, dtype: DType): Emitted {
    const type = dtype === "i32" ? "i32" : "u32";
    const { vector } = this.context;
    const perLane = this.#hasVectorVariable(w, index);
    const step = vector === "" ? "same" : perLane ? "other" : laneStep(index, vector);
    if (step === "same") return { text: `${type}(${this.#text(w, index)})`, lanes: 1 };
    if (step === "next") {
      return {
        text: `(vec4<${type}>(${type}(${this.#text(w, index)})) + vec4<${type}>(0, 1, 2, 3))`,
        lanes: 4,
      };
    }
    const each = [0, 1, 2, 3].map((lane) => `${type}(${this.#text(w, index, lane)})`);
    return { text: `vec4<${type}>(${each.join(", ")})`, lanes: 4 };
  }

  #hasVectorVariable(w: Writer, index: IndexExpr): boolean {
    return [...variablesOf(index)].some((name) =>
      isValueName(name) && this.value(w, valueOfName(name)).lanes === 4
    );
  }

  /** Text of an index, for the first neighbour or for a given one. */
  #text(w: Writer, index: IndexExpr, lane?: number): string {
    return indexToWgsl(index, (name) => {
      if (isValueName(name)) {
        const value = this.value(w, valueOfName(name));
        return `u32(${value.lanes === 4 ? `${value.text}[${lane ?? 0}]` : value.text})`;
      }
      const text = this.context.names.get(name);
      if (text === undefined) throw new InternalError(`loop variable ${name} has no name`);
      return lane && name === this.context.vector ? `(${text} + ${lane}u)` : text;
    });
  }

  #load(w: Writer, { tensor, index, dtype }: Extract<Instruction, { kind: "load" }>): Emitted {
    const { slots, vector } = this.context;
    const slot = slots.find(tensor, index);
    const relative = add(index, constantIndex(-slot.base));
    const step = this.#hasVectorVariable(w, index) ? "other" : stepOf(index, vector, slot.base);
    if (step === "next") {
      const four = `${slot.name}[${quarter(this.#text(w, relative))}]`;
      return { text: slot.packed ? unpacked(four, dtype) : toRegister(four, dtype, 4), lanes: 4 };
    }
    if (step === "same") return { text: this.#element(slot, this.#text(w, relative), dtype), lanes: 1 };
    const each = [0, 1, 2, 3].map((lane) => this.#element(slot, this.#text(w, relative, lane), dtype));
    return { text: `vec4<${registerType(dtype)}>(${each.join(", ")})`, lanes: 4 };
  }

  #element(slot: Slot, at: string, dtype: DType): string {
    if (slot.packed) return packedElement(slot.name, at, dtype);
    const text = slot.wide ? `${slot.name}[${at} / 4u][${at} % 4u]` : `${slot.name}[${at}]`;
    return toRegister(text, dtype, 1);
  }

  /** Appends a store of four neighbours, or of one element in scalar code. */
  store(w: Writer, { tensor, index, value, dtype }: Store): void {
    const { slots, vector, limit, names } = this.context;
    const { text, lanes } = this.value(w, value);
    const slot = slots.find(tensor, index);
    const relative = add(index, constantIndex(-slot.base));
    if (vector === "") {
      w.line(`${this.#place(slot, this.#text(w, relative))} = ${toStorage(text, dtype, 1)};`);
      return;
    }
    const step = stepOf(index, vector, slot.base);
    const whole = lanes === 4 ? text : splat(text, 4, dtype);
    if (step === "next" && slot.wide && limit === undefined) {
      const stored = slot.packed ? packed(whole, dtype) : toStorage(whole, dtype, 4);
      w.line(`${slot.name}[${quarter(this.#text(w, relative))}] = ${stored};`);
      return;
    }
    if (step === "same") {
      w.line(
        `${this.#place(slot, this.#text(w, relative))} = ${
          toStorage(lanes === 4 ? `${text}[0]` : text, dtype, 1)
        };`,
      );
      return;
    }
    for (let lane = 0; lane < 4; lane++) {
      const part = toStorage(lanes === 4 ? `${text}[${lane}]` : text, dtype, 1);
      const statement = `${this.#place(slot, this.#text(w, relative, lane))} = ${part};`;
      w.line(
        limit === undefined ? statement : `if (${names.get(vector)} + ${lane}u < ${limit}u) { ${statement} }`,
      );
    }
  }

  #place(slot: Slot, at: string): string {
    if (slot.packed) {
      throw new InternalError(`one number is stored to ${slot.name}, which holds words of two`);
    }
    return slot.wide ? `${slot.name}[${at} / 4u][${at} % 4u]` : `${slot.name}[${at}]`;
  }
}

/** Computes all values before the first store: a store may overwrite what another value was loaded from. */
export function storeAll(w: Writer, emitter: Emitter, stores: readonly Store[]): void {
  for (const { value } of stores) emitter.value(w, value);
  for (const store of stores) emitter.store(w, store);
}

function quarter(text: string): string {
  return `${text} / 4u`;
}

function isAtomic(text: string): boolean {
  return /^[\w.]+$/.test(text) || /^-?[\d.e+-]+[fiu]?$/.test(text);
}

/** Four copies of a scalar. */
export function splat(text: string, lanes: 1 | 4, dtype: DType): string {
  return lanes === 1 ? text : `vec4<${registerType(dtype)}>(${text})`;
}

/** A literal of the register type. */
export function literal(value: number, dtype: DType): string {
  if (dtype === "bool") return value === 0 ? "false" : "true";
  if (dtype === "i32") return `i32(${Math.trunc(value)})`;
  if (dtype === "u32") return `${Math.trunc(value)}u`;
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) throw new InternalError(`constant ${value} is not a finite f32`);
  const text = String(rounded);
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

function toRegister(text: string, dtype: DType, lanes: 1 | 4): string {
  if (dtype === "bool") return `(${text} != ${lanes === 4 ? "vec4<u32>(0u)" : "0u"})`;
  if (dtype === "f16") return lanes === 4 ? `vec4<f32>(${text})` : `f32(${text})`;
  return text;
}

function toStorage(text: string, dtype: DType, lanes: 1 | 4): string {
  const type = storageType(dtype);
  if (dtype === "bool") {
    return lanes === 4 ? `select(vec4<u32>(0u), vec4<u32>(1u), ${text})` : `select(0u, 1u, ${text})`;
  }
  if (dtype === "f16") return lanes === 4 ? `vec4<${type}>(${text})` : `${type}(${text})`;
  return text;
}

function throughF16(text: string, lanes: 1 | 4): string {
  return lanes === 4 ? `vec4<f32>(vec4<f16>(${text}))` : `f32(f16(${text}))`;
}
