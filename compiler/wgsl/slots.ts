/**
 * Bindings of one kernel. Every access of its bodies is known before any text is written, so a slot can cover just the
 * range of the allocation that is touched (which keeps each binding under the adapter's limit, and makes the kernels of
 * equal layers equal text), and can be declared as vec4 when accesses allow it.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { bytesPerElement, type DType, isFloat } from "../dtype.ts";
import { GraphError, InternalError } from "../errors.ts";
import { add, alignmentOf, constantIndex, type IndexExpr, laneStep, rangeOf } from "../index_expr.ts";
import { type Body, isValueName } from "../kernel.ts";
import { variablesOf } from "../index_expr.ts";
import { isPackable } from "./packed.ts";

/** One load or store before text exists. */
export interface Access {
  readonly root: number;
  readonly index: IndexExpr;
  readonly dtype: DType;
  /** Variable that runs over four neighbours, or "" for scalar code. */
  readonly vector: string;
  readonly write: boolean;
}

/** A binding: a range of a root, in elements. */
export interface Slot {
  readonly name: string;
  readonly root: number;
  readonly dtype: DType;
  readonly base: number;
  readonly elements: number;
  /** Declared as an array of vec4. */
  readonly wide: boolean;
  /** Holds numbers of 16 bits as words of two, see `packed.ts`; always wide. */
  readonly packed: boolean;
  readonly write: boolean;
}

/** All accesses of a body. */
export function accessesOf(body: Body, vector: string): Access[] {
  const accesses: Access[] = [];
  for (const instruction of body.instructions) {
    if (instruction.kind !== "load") continue;
    const { tensor: root, index, dtype } = instruction;
    accesses.push({ root, index, dtype, vector, write: false });
  }
  for (const { tensor: root, index, dtype } of body.stores) {
    accesses.push({ root, index, dtype, vector, write: true });
  }
  return accesses;
}

/** How an access moves over four neighbours, given the base of its slot: one vec4, one element, or four of them. */
export function stepOf(index: IndexExpr, vector: string, base = 0): "same" | "next" | "other" {
  if (vector === "") return "same";
  // A gathered index may differ from lane to lane.
  if ([...variablesOf(index)].some(isValueName)) return laneStep(index, vector) === "same" ? "same" : "other";
  const step = laneStep(index, vector);
  if (step !== "next") return step;
  return alignmentOf(add(index, constantIndex(-base)), vector) % 4 === 0 ? "next" : "other";
}

/** Why a kernel is refused: two invocations cannot each store half a word. */
const BF16_STORE =
  "bf16 is stored four numbers at a time: make the last axis of every bf16 tensor a multiple of 4";

/** Collects accesses into slots. */
export class Slots {
  readonly list: Slot[] = [];
  /** True where f16 is better packed and unpacked than used. */
  readonly packsF16: boolean;

  /**
   * @param exclusive True for roots in a buffer that the dispatch writes: their slots must all be read_write.
   * @param sizeOf Elements of a root. A guarded access (padding, a gather) may name elements outside it.
   */
  constructor(
    accesses: readonly Access[],
    target: Capabilities,
    exclusive: (root: number) => boolean,
    sizeOf: (root: number) => number,
  ) {
    this.packsF16 = target.software;
    const byRoot = new Map<number, Access[]>();
    for (const access of accesses) {
      const known = byRoot.get(access.root);
      if (known) known.push(access);
      else byRoot.set(access.root, [access]);
    }
    const clusters = [...byRoot.values()].flatMap(overlapping);
    joinNeighbours(clusters, target);
    for (const cluster of clusters) {
      const [{ root }] = cluster;
      this.#add(root, cluster, target, exclusive(root), sizeOf(root));
    }
  }

  #add(root: number, cluster: readonly Access[], target: Capabilities, write: boolean, size: number): void {
    const { dtype } = cluster[0];
    const width = bytesPerElement(dtype);
    const unit = target.bindingAlignment / width;
    const inside = (element: number) => Math.min(Math.max(0, element), size - 1);
    // A guarded access may lie outside the root altogether; its binding must not be empty all the same.
    const [low, high] = spanOf(cluster).map(inside);
    const base = Math.floor(low / unit) * unit;
    const steps = cluster.map((access) => stepOf(access.index, access.vector, base));
    const isPacked = isPackable(dtype, this.packsF16);
    const wide = steps.includes("next") || dtype === "bf16";
    const elements = wide ? Math.ceil((high + 1 - base) / 4) * 4 : high + 1 - base;
    const name = `t${this.list.length}`;
    const stored = cluster.every((access, i) => !access.write || (steps[i] === "next" && fillsWords(access)));
    if (dtype === "bf16" && !stored) throw new GraphError(BF16_STORE);
    const packed = isPacked && wide && stored;
    this.list.push({ name, root, dtype, base, elements, wide, packed, write });
  }

  /** The slot that covers an access. */
  find(root: number, index: IndexExpr): Slot {
    const [low, high] = rangeOf(index);
    const slot =
      this.list.find((other) =>
        other.root === root && other.base <= Math.max(0, low) && high < other.base + other.elements
      ) ?? this.list.find((other) => other.root === root);
    if (!slot) throw new InternalError(`no binding covers root ${root}`);
    return slot;
  }

  /** Declarations in binding order. */
  declarations(): string[] {
    return this.list.map(({ name, dtype, wide, packed, write }) => {
      const element = storageType(dtype);
      const type = packed ? "vec2<u32>" : wide ? `vec4<${element}>` : element;
      return `var<storage, ${write ? "read_write" : "read"}> ${name}: array<${type}>`;
    });
  }
}

/** False where the last of the stores along an axis has less than four neighbours to write. */
function fillsWords({ index }: Access): boolean {
  const [low, high] = rangeOf(index);
  return (high - low + 1) % 4 === 0;
}

function spanOf(accesses: readonly Access[]): readonly [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const { index } of accesses) {
    const [first, last] = rangeOf(index);
    low = Math.min(low, first);
    high = Math.max(high, last);
  }
  return [low, high];
}

/**
 * Accesses whose ranges overlap share a binding; others get their own, even in one root: the distance between two
 * parameters differs from layer to layer, and must not end up in the text.
 */
function overlapping(accesses: readonly Access[]): Access[][] {
  const sorted = [...accesses].sort((a, b) => rangeOf(a.index)[0] - rangeOf(b.index)[0]);
  const result: Access[][] = [];
  let end = -Infinity;
  for (const access of sorted) {
    const [low, high] = rangeOf(access.index);
    if (low <= end) result[result.length - 1].push(access);
    else result.push([access]);
    end = Math.max(end, high);
  }
  return result;
}

/** Too many bindings: joins the closest ranges of one root, as long as one binding can cover both. */
function joinNeighbours(clusters: Access[][], target: Capabilities): void {
  while (clusters.length > target.maxStorageBuffers) {
    let best = -1;
    let bestSpan = target.maxBindingBytes;
    for (let i = 0; i + 1 < clusters.length; i++) {
      const [left, right] = [clusters[i], clusters[i + 1]];
      if (left[0].root !== right[0].root) continue;
      const [low, high] = spanOf([...left, ...right]);
      const bytes = (high - low + 1) * bytesPerElement(left[0].dtype) + target.bindingAlignment;
      if (bytes < bestSpan) [best, bestSpan] = [i, bytes];
    }
    if (best < 0) return;
    clusters.splice(best, 2, [...clusters[best], ...clusters[best + 1]]);
  }
}

/** Type of an element in a storage buffer. */
export function storageType(dtype: DType): string {
  return dtype === "bool" || dtype === "bf16" ? "u32" : dtype;
}

/** Type of an element in registers: floats are computed in f32. */
export function registerType(dtype: DType): string {
  return isFloat(dtype) ? "f32" : dtype;
}
