/**
 * Kernel IR: what stands between a fusion group and its WGSL. A kernel runs over a parallel variable and, when it
 * reduces, a reduced variable; its body is an SSA list of scalar values (loads with index expressions, arithmetic,
 * reductions), followed by stores. The same body serves every schedule: one invocation an element, one a row, or the
 * prologue and epilogue of a template.
 *
 * @module
 */
import type { DType } from "./dtype.ts";
import type { Attrs, NodeId } from "./graph.ts";
import { type IndexExpr, variablesOf } from "./index_expr.ts";

/** Position of a value in a body. */
export type ValueId = number;

/** One scalar definition. Float values are computed in f32 whatever their storage. */
export type Instruction =
  /** A literal. */
  | { readonly kind: "constant"; readonly value: number; readonly dtype: DType }
  /** A scalar input of the program. */
  | { readonly kind: "scalar"; readonly name: string; readonly dtype: DType }
  /** The value of an index expression, as `i32` (`iota`) or `u32` (the counter of a random number). */
  | { readonly kind: "index"; readonly index: IndexExpr; readonly dtype: DType }
  /** True where `low <= index < high`: the guard of a padded axis. */
  | {
    readonly kind: "inside";
    readonly index: IndexExpr;
    readonly low: number;
    readonly high: number;
    readonly dtype: "bool";
  }
  /** An element in memory: of a node's tensor, or of an allocation once storage is assigned. Variables named `@n` in the index stand for value n (a gathered index). */
  | { readonly kind: "load"; readonly tensor: number; readonly index: IndexExpr; readonly dtype: DType }
  /** The result of a template (a product, a segment's sum, one of attention's) at the position that its epilogue works on. */
  | { readonly kind: "result"; readonly node: NodeId; readonly op: string; readonly dtype: DType }
  /** A word of counter-based random bits. */
  | {
    readonly kind: "random";
    readonly key: ValueId;
    readonly index: IndexExpr;
    readonly stream: number;
    readonly dtype: "u32";
  }
  /** A pointwise op of the table. */
  | {
    readonly kind: "apply";
    readonly op: string;
    readonly args: readonly ValueId[];
    readonly attrs: Attrs;
    readonly dtype: DType;
  }
  /** Sum, maximum or first index of the maximum of a value over the reduced variable. */
  | {
    readonly kind: "reduce";
    readonly op: "sum" | "max" | "argmax";
    readonly arg: ValueId;
    readonly dtype: DType;
  };

/** Writes a value to an element of an allocation, once for each position at which the value exists. */
export interface Store {
  /** The allocation. */
  readonly tensor: number;
  /** The element. */
  readonly index: IndexExpr;
  /** What is written. */
  readonly value: ValueId;
  /** Its dtype in memory. */
  readonly dtype: DType;
}

/** The loop variables of Kernel IR. `p` is parallel, `r` reduced; templates use `z`, `m`, `n`, `k`, `t`. */
export interface Domain {
  readonly parallel: number;
  /** Length of the reduced variable; 1 when nothing is reduced. */
  readonly reduced: number;
  /** The variable along which four neighbours are handled together. */
  readonly vector: "p" | "r";
}

/** A body under construction; equal instructions are shared. */
export class Body {
  /** In the order in which they were added. */
  readonly instructions: Instruction[] = [];
  /** What is written at the end. */
  readonly stores: Store[] = [];
  readonly #known = new Map<string, ValueId>();

  /** Adds an instruction, or finds the equal one that is there already. */
  add(instruction: Instruction): ValueId {
    const key = keyOf(instruction);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.instructions.push(instruction);
    this.#known.set(key, this.instructions.length - 1);
    return this.instructions.length - 1;
  }

  /** The instruction that defines a value. */
  at(id: ValueId): Instruction {
    return this.instructions[id];
  }
}

function keyOf(instruction: Instruction): string {
  switch (instruction.kind) {
    case "constant":
      return `c ${instruction.dtype} ${Object.is(instruction.value, -0) ? "-0" : instruction.value}`;
    case "scalar":
      return `s ${instruction.name}`;
    case "index":
      return `i ${instruction.dtype} ${instruction.index.key}`;
    case "inside":
      return `g ${instruction.low} ${instruction.high} ${instruction.index.key}`;
    case "load":
      return `l ${instruction.tensor} ${instruction.index.key}`;
    case "result":
      return `t ${instruction.node}`;
    case "random":
      return `p ${instruction.key} ${instruction.stream} ${instruction.index.key}`;
    case "apply":
      return `a ${instruction.op} ${instruction.args.join(",")} ${instruction.dtype} ${
        attrsKey(instruction.attrs)
      }`;
    case "reduce":
      return `r ${instruction.op} ${instruction.arg}`;
  }
}

function attrsKey(attrs: Attrs): string {
  for (const _ in attrs) return JSON.stringify(attrs);
  return "";
}

/** The values that an instruction uses, those inside its index included. */
export function usesOf(instruction: Instruction): ValueId[] {
  if (instruction.kind === "apply") return [...instruction.args];
  if (instruction.kind === "reduce") return [instruction.arg];
  if (!("index" in instruction)) return [];
  const indexed = [...variablesOf(instruction.index)].filter(isValueName).map(valueOfName);
  return instruction.kind === "random" ? [instruction.key, ...indexed] : indexed;
}

/** Name of the index variable that stands for a computed value. */
export function valueName(id: ValueId): string {
  return `@${id}`;
}

/** True for the name of an index variable that stands for a computed value. */
export function isValueName(name: string): boolean {
  return name.startsWith("@");
}

/** The value that such a name stands for. */
export function valueOfName(name: string): ValueId {
  return Number(name.slice(1));
}

/** For every value: whether it varies with the reduced variable, and how many reductions lie below it. */
export interface Levels {
  readonly varies: readonly boolean[];
  readonly depth: readonly number[];
}

/** Computes {@link Levels}: a reduction of depth d can be formed in pass d, once those below it are known. */
export function levelsOf(body: Body, reducedVariable = "r"): Levels {
  const varies: boolean[] = [];
  const depth: number[] = [];
  for (const instruction of body.instructions) {
    const uses = usesOf(instruction);
    let below = 0;
    let varying = false;
    for (const use of uses) {
      below = Math.max(below, depth[use]);
      varying ||= varies[use];
    }
    if ("index" in instruction) varying ||= variablesOf(instruction.index).has(reducedVariable);
    if (instruction.kind === "reduce") {
      below += 1;
      varying = false;
    }
    varies.push(varying);
    depth.push(below);
  }
  return { varies, depth };
}
