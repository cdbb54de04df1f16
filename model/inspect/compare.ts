/**
 * Holds what a kernel stored against what float64 gives for the same inputs. How far apart right results may be depends on
 * the dtype, on the magnitude of the result, and, where large numbers cancel, on how much the result moves when the inputs
 * are changed in their last place: what that moves, rounding may move as well.
 *
 * @module
 */
import { type DType, evaluate, type Graph, isFloat, isHalf } from "../../compiler/mod.ts";

/** Values by the name of an input or output. */
export type Values = Readonly<Record<string, ArrayLike<number>>>;

/** How far one stored value is from what it should be, where it is farthest. */
export interface Deviation {
  /** Largest distance. */
  readonly absolute: number;
  /** The same over the largest magnitude of the value. */
  readonly relative: number;
  /** The same over what rounding explains: above 1 the kernel is wrong. */
  readonly excess: number;
  /** Row-major element at which it is. */
  readonly element: number;
  /** What is stored there. */
  readonly given: number;
  /** What float64 gives. */
  readonly expected: number;
  /** Elements that rounding does not explain. */
  readonly wrong: number;
  /** Elements in all. */
  readonly elements: number;
}

/** Largest difference that rounding explains, relative to the magnitude of the result. */
const TOLERANCE = { f32: 5e-5, f16: 4e-3, bf16: 3e-2 } as const;
/** Half a unit in the last place of each. */
const LAST_PLACE = { f32: 2 ** -24, f16: 2 ** -12, bf16: 2 ** -9 } as const;
/** Magnitudes above which a value is infinite. */
const LARGEST = { f32: 3.4028235677973366e38, f16: 65520, bf16: 3.3961775292304e38 } as const;
/** Rounding may move a result this many times as far as one change of the inputs in their last place did. */
const NOISE_FACTOR = 32;
/** Whole numbers come from comparisons of rounded values: this share of them may differ. */
const FLIPPED = 1e-3;

type FloatType = keyof typeof TOLERANCE;

/** The least precise float type that a kernel computes with: rounding to it may happen anywhere inside. */
export function precisionOf({ nodes }: Graph): FloatType {
  const dtypes = new Set(nodes.map(({ dtype }) => dtype));
  return dtypes.has("bf16") ? "bf16" : dtypes.has("f16") ? "f16" : "f32";
}

/**
 * Compares stored values with those of float64, and only where they differ too much finds out what rounding can do.
 *
 * @param graph What the kernel computes.
 * @param inputs What it was given.
 * @param given What it stored, by output.
 */
export function compareWithReference(graph: Graph, inputs: Values, given: Values): Record<string, Deviation> {
  const precision = precisionOf(graph);
  const expected = evaluate(graph, inputs);
  const dtypes = Object.fromEntries(graph.outputs.map(({ name, node }) => [name, graph.nodes[node].dtype]));
  const compare = (name: string, noise: number) =>
    deviation(given[name], expected[name], { dtype: dtypes[name], precision, noise });
  const found = Object.fromEntries(Object.keys(expected).map((name) => [name, compare(name, 0)]));
  const isDoubtful = (name: string) => isFloat(dtypes[name]) && found[name].excess > 1;
  if (!Object.keys(found).some(isDoubtful)) return found;
  const moved = evaluate(graph, nudged(graph, inputs, precision));
  for (const name of Object.keys(found).filter(isDoubtful)) {
    let noise = 0;
    const [from, to] = [expected[name], moved[name]];
    for (let i = 0; i < from.length; i++) {
      const distance = Math.abs(from[i] - to[i]);
      if (distance > noise && Number.isFinite(distance)) noise = distance;
    }
    found[name] = compare(name, NOISE_FACTOR * noise);
  }
  return found;
}

/** How two values of one dtype may differ. */
export interface Allowance {
  /** Their dtype. */
  readonly dtype: DType;
  /** The least precise float type that they were computed with. */
  readonly precision: FloatType;
  /** An absolute difference that is allowed besides. */
  readonly noise: number;
}

/** Where `given` is farthest from `expected`. */
export function deviation(
  given: ArrayLike<number>,
  expected: ArrayLike<number>,
  { dtype, precision, noise }: Allowance,
): Deviation {
  const exact = !isFloat(dtype);
  const stored = isHalf(dtype) ? dtype as FloatType : precision;
  const tolerance = exact ? 0 : Math.max(TOLERANCE[precision], TOLERANCE[stored]);
  const most = LARGEST[isHalf(dtype) ? dtype as FloatType : "f32"];
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    const magnitude = Math.abs(expected[i]);
    if (magnitude > scale && magnitude < most) scale = magnitude;
  }
  let worst = { absolute: 0, excess: 0, element: 0 };
  let wrong = 0;
  for (let i = 0; i < expected.length; i++) {
    const want = Math.abs(expected[i]) >= most && !exact ? Math.sign(expected[i]) * Infinity : expected[i];
    if (given[i] === want || (Number.isNaN(given[i]) && Number.isNaN(want))) continue;
    const distance = Math.abs(given[i] - want);
    const absolute = Number.isFinite(distance) ? distance : Infinity;
    const allowed = tolerance * (scale + Math.abs(want)) + noise;
    const excess = exact ? Infinity : Number.isFinite(allowed) && allowed > 0 ? absolute / allowed : Infinity;
    if (excess > 1) wrong++;
    if (excess > worst.excess || (excess === worst.excess && absolute > worst.absolute)) {
      worst = { absolute, excess, element: i };
    }
  }
  if (exact && wrong <= FLIPPED * expected.length) worst = { ...worst, excess: 0 };
  const { element, absolute, excess } = worst;
  return {
    absolute,
    relative: absolute === 0 ? 0 : scale === 0 ? Infinity : absolute / scale,
    excess,
    element,
    given: given[element],
    expected: expected[element],
    wrong: excess > 1 ? wrong : 0,
    elements: expected.length,
  };
}

/** The inputs, each float changed in its last place, up or down. */
function nudged({ nodes }: Graph, inputs: Values, precision: FloatType): Values {
  const result: Record<string, ArrayLike<number>> = { ...inputs };
  for (const { op, attrs, dtype } of nodes) {
    const name = attrs.name as string;
    if (op !== "input" || !isFloat(dtype)) continue;
    const unit = LAST_PLACE[precision];
    // Marsaglia's xorshift with 32 bits.
    let bits = 0x9e3779b9;
    result[name] = Float64Array.from(inputs[name], (value) => {
      bits ^= bits << 13;
      bits ^= bits >>> 17;
      bits ^= bits << 5;
      return value * (1 + (bits < 0 ? unit : -unit));
    });
  }
  return result;
}
