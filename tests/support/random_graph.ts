/**
 * Random programs over the whole op table, for fuzzing: small odd shapes, broadcasts, values used many times, several
 * outputs, a donated state, now and then a gradient.
 *
 * Values stay in a range in which float32 does well, and whatever jumps (comparisons, floor, argmax, casts to integers)
 * only sees values that float32 holds exactly. So a result that differs from the reference by more than rounding is a bug.
 *
 * @module
 */
import { grad, type Graph, phase, scope, sizeOf, type Tensor, trace } from "../../compiler/mod.ts";
import { Prng } from "./prng.ts";
import { MOVES } from "./random_moves.ts";
import { type Entry, randomShape, type Workshop } from "./random_pool.ts";

/** Options of {@link randomGraph}. */
export interface RandomGraphOptions {
  /** Moves to make; 2 to 16 by default. A move adds one to about eight nodes. */
  readonly steps?: number;
  /** Elements of the largest tensor, 2048 by default. */
  readonly maxElements?: number;
  /** Probability that gradients are added, 0.25 by default. */
  readonly gradients?: number;
}

/** Values of inputs by name, in the array type of their dtype. */
export type InputValues = Record<string, Float32Array | Int32Array | Uint32Array>;

/** Name of the state input, and of the output that donates it. */
const STATE = "state";

/** The random program of a seed. */
export function randomGraph(seed: number, options: RandomGraphOptions = {}): Graph {
  const prng = new Prng(seed);
  const { steps = prng.integer(2, 16), maxElements = 2048, gradients = 0.25 } = options;
  const batch = (dtype: "f32" | "i32", rank: number) =>
    ({ shape: randomShape(prng, rank, maxElements), dtype, role: "batch" }) as const;
  const specs = {
    a: batch("f32", prng.integer(0, 4)),
    b: batch("f32", prng.integer(1, 3)),
    c: { ...batch("f32", 2), role: "state" },
    i: batch("i32", prng.integer(1, 2)),
    [STATE]: { ...batch("f32", prng.integer(1, 2)), role: "state" },
    rate: { shape: [], dtype: "f32", role: "scalar" },
    key: { shape: [], dtype: "u32", role: "scalar" },
  } as const;
  const donates: Record<string, string> = prng.chance(0.6) ? { [STATE]: STATE } : {};
  return trace(
    ({ key, ...values }) => {
      const pool = Object.values(values).map((tensor) => ({ tensor, bound: 8, exact: true, smooth: true }));
      const shop: Workshop = { prng, pool, maxElements, key };
      for (let step = 0; step < steps; step++) {
        const move = prng.pick(MOVES);
        const made = scope(`step.${step}`, () => move(shop));
        if (made) pool.push(scope(`step.${step}`, () => tamed(prng, made)));
      }
      return {
        ...chosenOutputs(shop),
        ...prng.chance(gradients) ? gradientOutputs(shop, values) : {},
        ...STATE in donates ? { [STATE]: phase("optimizer", () => nextState(shop, values[STATE])) } : {},
      };
    },
    specs,
    { donates },
  );
}

/**
 * Values for the inputs of a random program, also of one that has been shrunk. Floats are multiples of 1/16 in [-2, 2],
 * integers lie in [-2, 9], so as indices some of them lie outside.
 */
export function randomInputs(graph: Graph, seed: number): InputValues {
  const prng = new Prng(seed ^ 0x5eed);
  const values: InputValues = {};
  for (const { op, dtype, shape, attrs } of graph.nodes) {
    if (op !== "input") continue;
    const length = sizeOf(shape);
    const fill = (draw: () => number) => Array.from({ length }, draw);
    values[attrs.name as string] = dtype === "i32"
      ? Int32Array.from(fill(() => prng.integer(-2, 9)))
      : dtype === "u32"
      ? Uint32Array.from(fill(() => prng.integer(0, 2 ** 31)))
      : Float32Array.from(fill(() => prng.integer(-32, 32) / 16));
  }
  return values;
}

/** Keeps values in range: what has grown large is scaled down or squashed. */
function tamed(prng: Prng, entry: Entry): Entry {
  const { tensor, bound, smooth } = entry;
  if (bound <= 64 || tensor.dtype === "bool") return entry;
  if (tensor.dtype !== "f32") return { ...entry, tensor: tensor.maximum(-9).minimum(9), bound: 9 };
  if (prng.chance(0.5)) return { tensor: tensor.tanh(), bound: 1, exact: false, smooth };
  const factor = 2 ** -Math.ceil(Math.log2(bound));
  return { tensor: tensor.mul(factor), bound: bound * factor, exact: false, smooth };
}

/** The last value, most of those that nothing reads, and sometimes one that is read as well. */
function chosenOutputs({ prng, pool }: Workshop): Record<string, Tensor> {
  const { nodes } = pool[0].tensor.context.builder;
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const last = pool[pool.length - 1];
  const chosen = pool.filter((entry) => {
    const { id } = entry.tensor;
    return entry === last || (nodes[id].op !== "input" && !read.has(id) && prng.chance(0.7));
  });
  if (prng.chance(0.3)) chosen.push(prng.pick(pool));
  return Object.fromEntries(chosen.slice(-4).map(({ tensor }, i) => [`y${i}`, tensor]));
}

/** Gradients of the mean of a smooth value with respect to the float inputs. */
function gradientOutputs(
  { prng, pool }: Workshop,
  inputs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const smooth = pool.filter((entry) => entry.smooth && entry.tensor.dtype === "f32");
  const from = Object.entries(inputs).filter(([, tensor]) => tensor.dtype === "f32");
  const loss = prng.pick(smooth.slice(-3)).tensor.mean();
  const grads = grad(loss, from.map(([, tensor]) => tensor));
  return Object.fromEntries(from.map(([name], i) => [`d_${name}`, grads[i]]));
}

/** The state's next value, from itself and something else of its shape. */
function nextState({ prng, pool }: Workshop, state: Tensor): Tensor {
  const floats = pool.filter(({ tensor }) => tensor.dtype === "f32" && tensor.id !== state.id);
  const alike = floats.filter(({ tensor }) => tensor.shape.join() === state.shape.join());
  const change = alike.length > 0 ? prng.pick(alike).tensor : prng.pick(floats).tensor.mean();
  return prng.chance(0.2) ? change.broadcastTo(state.shape) : state.mul(0.5).add(change);
}
