/**
 * Where each parameter lives. All parameters are one flat f32 tensor (as are their gradients and both AdamW moments),
 * so that the optimizer is a handful of kernels whatever the number of layers; a parameter is a slice of it. What is too
 * large for one buffer is cut between two parameters into several flat tensors, called arenas. Names and
 * layouts are Hugging Face's: `h.0.attn.c_attn.weight` is `[in, out]`.
 *
 * @module
 */
import { concat, constant, scope, type Tensor } from "../compiler/mod.ts";
import { type ModelConfig, paddedVocabulary } from "./config.ts";

/** How a parameter starts. */
export type Initializer =
  | { readonly kind: "normal"; readonly deviation: number }
  | { readonly kind: "constant"; readonly value: number };

/** One parameter and its place in the flat tensor. */
export interface Parameter {
  /** Hugging Face's name. */
  readonly name: string;
  /** Sizes of the axes. */
  readonly shape: readonly number[];
  /** Elements of `shape`. */
  readonly size: number;
  /** First element in the flat tensor: a multiple of {@link ALIGNMENT}. */
  readonly offset: number;
  /** Rows that mean something; the rows of the token embedding past the vocabulary are padding and stay 0. */
  readonly rows: number;
  /** How it starts. */
  readonly initializer: Initializer;
}

/** Elements of the whole that are one tensor on the device: from `start` up to, not including, `end`. */
export interface Arena {
  /** First element. */
  readonly start: number;
  /** Element after the last. */
  readonly end: number;
}

/** The whole layout. */
export interface ParameterLayout {
  /** In the order of their offsets. */
  readonly parameters: readonly Parameter[];
  /** Elements before this one belong to tensors that weight decay applies to (those of two or more dimensions). */
  readonly decayed: number;
  /** Elements of the flat tensor, gaps included. */
  readonly size: number;
  /** The tensors that hold it on the device: one, unless it is very large. */
  readonly arenas: readonly Arena[];
  /** Parameters that the model really has: no gaps, no padded rows. */
  readonly count: number;
}

/** Offsets are multiples of this many elements: 256 bytes, WebGPU's largest binding alignment. */
export const ALIGNMENT = 64;

/** Elements of the largest arena: 1 GiB of f32, which is half of what lavapipe and many GPUs allow one buffer. */
export const ARENA_ELEMENTS = 2 ** 28;

type Declaration = Pick<Parameter, "name" | "shape" | "initializer"> & { readonly rows?: number };

/** Every parameter of the model, in Hugging Face's order. */
function declare(config: ModelConfig): Declaration[] {
  const { layers, width, context, vocabulary } = config;
  const normal: Initializer = { kind: "normal", deviation: 0.02 };
  // Each block adds to the residual stream twice: the smaller start keeps the stream's variance at 1.
  const residual: Initializer = { kind: "normal", deviation: 0.02 / Math.sqrt(2 * layers) };
  const zero: Initializer = { kind: "constant", value: 0 };
  const one: Initializer = { kind: "constant", value: 1 };
  const layerNorm = (name: string): Declaration[] => [
    { name: `${name}.weight`, shape: [width], initializer: one },
    { name: `${name}.bias`, shape: [width], initializer: zero },
  ];
  const linear = (name: string, from: number, to: number, initializer: Initializer): Declaration[] => [
    { name: `${name}.weight`, shape: [from, to], initializer },
    { name: `${name}.bias`, shape: [to], initializer: zero },
  ];
  const declared: Declaration[] = [
    { name: "wte.weight", shape: [paddedVocabulary(config), width], rows: vocabulary, initializer: normal },
    { name: "wpe.weight", shape: [context, width], initializer: normal },
  ];
  for (let layer = 0; layer < layers; layer++) {
    declared.push(
      ...layerNorm(`h.${layer}.ln_1`),
      ...linear(`h.${layer}.attn.c_attn`, width, 3 * width, normal),
      ...linear(`h.${layer}.attn.c_proj`, width, width, residual),
      ...layerNorm(`h.${layer}.ln_2`),
      ...linear(`h.${layer}.mlp.c_fc`, width, 4 * width, normal),
      ...linear(`h.${layer}.mlp.c_proj`, 4 * width, width, residual),
    );
  }
  return [...declared, ...layerNorm("ln_f")];
}

/**
 * Places every parameter of the model: tensors that decay first, then those of layerNorms, whose gradients are sums of
 * one kind and so are finished in one launch where they lie side by side, then biases; each at an aligned offset.
 *
 * @param arenaElements Elements of the largest arena, unless a single parameter is larger.
 * @example
 * ```ts
 * import { layoutParameters, resolveConfig } from "@sinter/sinter/model";
 * import { assertEquals } from "@std/assert";
 * assertEquals(layoutParameters(resolveConfig("gpt2")).count, 124_439_808);
 * ```
 */
export function layoutParameters(
  config: ModelConfig,
  arenaElements: number = ARENA_ELEMENTS,
): ParameterLayout {
  const declared = declare(config);
  const parameters: Parameter[] = [];
  let offset = 0;
  let count = 0;
  const place = ({ name, shape, rows = shape[0], initializer }: Declaration) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    parameters.push({ name, shape, size, offset, rows, initializer });
    count += size / shape[0] * rows;
    offset = Math.ceil((offset + size) / ALIGNMENT) * ALIGNMENT;
  };
  declared.filter(({ shape }) => shape.length >= 2).forEach(place);
  const decayed = offset;
  const vectors = declared.filter(({ shape }) => shape.length < 2);
  const isNorm = ({ name }: Declaration) => /(^|\.)ln_/.test(name);
  vectors.filter(isNorm).forEach(place);
  vectors.filter((vector) => !isNorm(vector)).forEach(place);
  return { parameters, decayed, size: offset, arenas: cutArenas(parameters, offset, arenaElements), count };
}

function cutArenas(parameters: readonly Parameter[], size: number, most: number): Arena[] {
  const arenas: Arena[] = [];
  let start = 0;
  for (const [i, { offset }] of parameters.entries()) {
    const next = parameters[i + 1]?.offset ?? size;
    if (next - start <= most || offset === start) continue;
    arenas.push({ start, end: offset });
    start = offset;
  }
  return [...arenas, { start, end: size }];
}

/** Names of the state tensors that hold `kind` (such as `params`): itself, or `params_0`, `params_1`, … */
export function arenaNames(layout: ParameterLayout, kind: string): string[] {
  return layout.arenas.length === 1 ? [kind] : layout.arenas.map((_, i) => `${kind}_${i}`);
}

/** Cuts the arenas into the parameters, by name. Only views: nothing is copied. */
export function unpack(layout: ParameterLayout, arenas: readonly Tensor[]): Record<string, Tensor> {
  const entries = layout.arenas.flatMap((arena, i) =>
    within(layout, arena).map(({ name, shape, size, offset }) => {
      const first = offset - arena.start;
      return [name, scope(name, () => arenas[i].slice([first], [first + size]).reshape(shape))] as const;
    })
  );
  return Object.fromEntries(entries);
}

/** Joins one tensor for each parameter into arenas, with zeros in the gaps. */
export function pack(layout: ParameterLayout, tensors: Readonly<Record<string, Tensor>>): Tensor[] {
  return layout.arenas.map((arena) => {
    const pieces: Tensor[] = [];
    const inside = within(layout, arena);
    inside.forEach(({ name, size, offset }, index) => {
      pieces.push(scope(name, () => tensors[name].reshape([size])));
      const gap = (inside[index + 1]?.offset ?? arena.end) - (offset + size);
      if (gap > 0) pieces.push(constant(0, "f32").reshape([1]).broadcastTo([gap]));
    });
    return concat(pieces, 0);
  });
}

function within(layout: ParameterLayout, { start, end }: Arena): Parameter[] {
  return layout.parameters.filter(({ offset }) => offset >= start && offset < end);
}

/** A named tensor on the host. */
export interface NamedArray {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * Cuts flat values that were read from the device into named tensors, as a checkpoint holds them: without padded rows.
 * The arrays are views of `flat`.
 */
export function cutParameters(layout: ParameterLayout, flat: Float32Array): NamedArray[] {
  return layout.parameters.map(({ name, shape, size, offset, rows }) => ({
    name,
    shape: [rows, ...shape.slice(1)],
    data: flat.subarray(offset, offset + size / shape[0] * rows),
  }));
}

/**
 * The inverse of {@link cutParameters}: a flat array with each named tensor in its place and zeros elsewhere.
 *
 * @throws {RangeError} when a tensor is missing or has another number of elements than the layout says.
 */
export function joinParameters(
  layout: ParameterLayout,
  tensors: ReadonlyMap<string, Float32Array>,
): Float32Array {
  const flat = new Float32Array(layout.size);
  for (const { name, shape, size, offset, rows } of layout.parameters) {
    const data = tensors.get(name);
    const expected = size / shape[0] * rows;
    if (data?.length !== expected) {
      throw new RangeError(
        data ? `${name} has ${data.length} elements, the model needs ${expected}` : `${name} is missing`,
      );
    }
    flat.set(data, offset);
  }
  return flat;
}
