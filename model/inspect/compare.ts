/**
 * Holds what a kernel stored against what float64 gives for the same inputs. How far apart right results may be depends on
 * the dtype, on the magnitude of the result, and, where large numbers cancel, on how much the result moves when the inputs
 * are changed in their last place: what that moves, rounding may move as well.
 *
 * @module
 */
import { type DType, evaluate, type Graph, isFloat, isHalf } from "../../compiler/mod.ts";
import { type Excerpt, type Piece, withPartsOnly } from "./excerpt.ts";

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
  /** Elements that were compared. */
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
/**
 * How the inputs are nudged: in all directions by half a unit in the last place, and all in one direction by more. The
 * latter shows which comparisons are of numbers so near that rounding decides them.
 */
const NUDGES: readonly Nudge[] = [
  { seed: 1, units: 1 },
  { seed: 2, units: 1 },
  { direction: 1, units: 16 },
  { direction: -1, units: 16 },
];
/** Whole numbers come from comparisons of rounded values: this share of them may differ. */
const FLIPPED = 1e-3;

/** A float type. */
export type FloatType = keyof typeof TOLERANCE;

/** The least precise float type that a kernel computes with: rounding to it may happen anywhere inside. */
export function precisionOf({ nodes }: Graph): FloatType {
  const dtypes = new Set(nodes.map(({ dtype }) => dtype));
  return dtypes.has("bf16") ? "bf16" : dtypes.has("f16") ? "f16" : "f32";
}

/** What to compare, and how precisely the kernel computes. */
export interface Comparison {
  /** Computes the pieces that are compared. */
  readonly excerpt: Excerpt;
  /** See {@link precisionOf}; of the kernel's own graph. */
  readonly precision: FloatType;
}

/**
 * Compares stored values with those of float64, and only where they differ too much finds out what rounding can do.
 *
 * @param allInputs What the kernel was given.
 * @param given All that it stored, by output.
 * @returns By output, all of its pieces together.
 */
export function compareWithReference(
  { excerpt, precision }: Comparison,
  allInputs: Values,
  given: Readonly<Record<string, Float64Array>>,
): Record<string, Deviation> {
  const { pieces } = excerpt;
  const { graph, inputs } = withPartsOnly(excerpt.graph, allInputs);
  const expected = evaluate(graph, inputs);
  const dtypes = Object.fromEntries(graph.outputs.map(({ name, node }) => [name, graph.nodes[node].dtype]));
  const compare = ({ name, of, first, elements }: Piece, noise?: Float64Array) =>
    deviation(given[of].subarray(first, first + elements), expected[name], {
      dtype: dtypes[name],
      precision,
      noise,
    });
  const found = pieces.map((piece) => ({ piece, deviation: compare(piece) }));
  const isDoubtful = ({ piece, deviation }: typeof found[number]) =>
    isFloat(dtypes[piece.name]) && deviation.excess > 1;
  if (found.some(isDoubtful)) {
    const doubtful = found.filter(isDoubtful);
    const noises = doubtful.map(({ piece }) => new Float64Array(piece.elements));
    for (const nudge of NUDGES) {
      const moved = evaluate(graph, nudged(graph, inputs, precision, nudge));
      doubtful.forEach(({ piece: { name } }, i) =>
        widen(noises[i], expected[name], moved[name], nudge.units)
      );
    }
    doubtful.forEach((each, i) => each.deviation = compare(each.piece, noises[i]));
  }
  const results: Record<string, Deviation> = {};
  for (const { piece: { of, first }, deviation } of found) {
    const own = { ...deviation, element: deviation.element + first };
    results[of] = results[of] ? together(results[of], own) : own;
  }
  return results;
}

/** Takes down how far a result moved for each unit, element by element, where it did so farther than before. */
function widen(noise: Float64Array, from: Float64Array, to: Float64Array, units: number): void {
  for (let i = 0; i < noise.length; i++) {
    const distance = Math.abs(from[i] - to[i]) / units;
    if (distance > noise[i] && Number.isFinite(distance)) noise[i] = distance;
  }
}

/** An element in the middle, of large arrays roughly. */
function median(values: Float64Array): number {
  const step = Math.ceil(values.length / 1024);
  return values.filter((_, i) => i % step === 0).sort()[Math.floor(values.length / step / 2)];
}

/** Two pieces of one value. */
function together(a: Deviation, b: Deviation): Deviation {
  const worse = b.excess > a.excess ? b : a;
  return { ...worse, wrong: a.wrong + b.wrong, elements: a.elements + b.elements };
}

/** How two values of one dtype may differ. */
export interface Allowance {
  /** Their dtype. */
  readonly dtype: DType;
  /** The least precise float type that they were computed with. */
  readonly precision: FloatType;
  /** How far each element moved when the inputs were nudged; left out: nothing is known of that. */
  readonly noise?: Float64Array;
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
  const typical = noise ? median(noise) : 0;
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
    const allowed = tolerance * (scale + Math.abs(want)) +
      (noise ? NOISE_FACTOR * Math.max(typical, noise[i]) : 0);
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

/** A change of all inputs. */
type Nudge = { readonly units: number } & ({ readonly seed: number } | { readonly direction: 1 | -1 });

/** The inputs, each float changed by some halves of a unit in the last place. */
function nudged({ nodes }: Graph, inputs: Values, precision: FloatType, nudge: Nudge): Values {
  const result: Record<string, ArrayLike<number>> = { ...inputs };
  const change = nudge.units * LAST_PLACE[precision];
  // Marsaglia's xorshift with 32 bits.
  let bits = "seed" in nudge ? 0x9e3779b9 ^ Math.imul(nudge.seed, 0x85ebca6b) : 0;
  const direction = () => {
    if ("direction" in nudge) return nudge.direction;
    bits ^= bits << 13;
    bits ^= bits >>> 17;
    bits ^= bits << 5;
    return bits < 0 ? 1 : -1;
  };
  for (const { op, attrs, dtype } of nodes) {
    const name = attrs.name as string;
    if (op !== "input" || !isFloat(dtype)) continue;
    result[name] = Float64Array.from(inputs[name], (value) => value * (1 + direction() * change));
  }
  return result;
}
