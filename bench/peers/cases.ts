/**
 * The work that every peer does: products, single kernels and whole GPT-2 training steps, with the numbers they start
 * from. All data is made from seeds, so that answers can be compared between libraries and runs.
 *
 * @module
 */

/** Which operand is stored transposed: [M,K]x[K,N], x[N,K], or [K,M]x. */
export type Form = "NN" | "NT" | "TN";

/** A matrix product of [rows, depth] and [depth, cols]. */
export interface MatmulCase {
  readonly kind: "matmul";
  readonly name: string;
  readonly form: Form;
  readonly rows: number;
  readonly depth: number;
  readonly cols: number;
}

/** A kernel over rows: layerNorm forward, its gradient in x, gamma and beta, or softmax. */
export interface RowsCase {
  readonly kind: "layernorm" | "layernorm-grad" | "softmax";
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
}

/** Causal attention, forward. */
export interface AttentionCase {
  readonly kind: "attention";
  readonly name: string;
  readonly batch: number;
  readonly heads: number;
  readonly context: number;
  readonly headWidth: number;
}

/** A GPT-2 and its batch. */
export interface StepCase {
  readonly kind: "step";
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly context: number;
  readonly batch: number;
  readonly vocabulary: number;
  /**
   * Written as a user would who knows nothing of binding limits: one embedding tensor, one logits tensor, one sum for
   * each tensor's norm. Otherwise these are cut by hand into pieces that fit.
   */
  readonly naive: boolean;
  /**
   * Losses of the first steps, on which the libraries agree to three digits where they are known to work. A program
   * that silently computes something else does not meet them.
   */
  readonly losses?: readonly number[];
  /** Norm of all gradients together at the first step, likewise. */
  readonly norm?: number;
}

/** Any case. */
export type PeerCase = MatmulCase | RowsCase | AttentionCase | StepCase;

function product(form: Form, rows: number, depth: number, cols: number): MatmulCase {
  return { kind: "matmul", name: `matmul-${form}-${rows}x${depth}x${cols}`, form, rows, depth, cols };
}

function step(
  name: string,
  [layers, width, heads, context, batch, vocabulary]: readonly number[],
  losses?: readonly number[],
  norm?: number,
): StepCase[] {
  const shape = { kind: "step" as const, layers, width, heads, context, batch, vocabulary };
  const cases = [{ ...shape, name, naive: false, losses, norm }];
  return vocabulary > 1024
    ? [...cases, { ...shape, name: `${name}-naive`, naive: true, losses, norm }]
    : cases;
}

/** Every case, quickest first. */
export const PEER_CASES: readonly PeerCase[] = [
  product("NN", 512, 512, 512),
  product("NN", 1024, 1024, 1024),
  product("NN", 512, 768, 3072),
  product("NT", 512, 3072, 768),
  product("TN", 768, 512, 3072),
  { kind: "layernorm", name: "layernorm-4096x768", rows: 4096, cols: 768 },
  { kind: "layernorm-grad", name: "layernorm-grad-4096x768", rows: 4096, cols: 768 },
  { kind: "softmax", name: "softmax-4096x768", rows: 4096, cols: 768 },
  { kind: "attention", name: "attention-4x12x128x64", batch: 4, heads: 12, context: 128, headWidth: 64 },
  ...step("step-4x128-v256", [4, 128, 4, 128, 8, 256], [5.5399, 5.4721, 5.4089], 1.2844),
  ...step("step-6x384-v256", [6, 384, 6, 128, 4, 256], [5.5632, 4.9762, 4.4272], 5.0021),
  ...step("step-4x128-v50304", [4, 128, 4, 128, 8, 50_304], [10.851, 10.7744, 10.7029], 1.2989),
  ...step("step-6x384-v50304", [6, 384, 6, 128, 4, 50_304], [10.8985, 10.2583, 9.679], 5.368),
  ...step("step-gpt2", [12, 768, 12, 64, 1, 50_304], [10.9512, 8.7642, 7.6871], 34.279),
];

/** Finds cases by name. Throws on a name that no case has. */
export function casesNamed(names: readonly string[]): PeerCase[] {
  return names.map((name) => {
    const found = PEER_CASES.find((one) => one.name === name);
    if (!found) throw new TypeError(`no case ${name}: use ${PEER_CASES.map((one) => one.name).join(", ")}`);
    return found;
  });
}

/** Optimizer settings: AdamW as in GPT-3's recipe, at a constant rate at which losses fall from the first step on. */
export const ADAMW = { rate: 1e-4, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, clip: 1.0 } as const;

/** Epsilon of every layerNorm. */
export const EPSILON = 1e-5;

/** Elements of the largest f32 tensor that a storage binding of 128 MiB holds. */
export const BINDING_ELEMENTS = 32 * 1024 * 1024;

/** Numbers in [-1, 1) from a seed: the 32-bit xorshift of Marsaglia (2003), times `scale`. */
export function uniform(seed: number, length: number, scale = 1): Float32Array<ArrayBuffer> {
  const out = new Float32Array(length);
  let state = (Math.imul(seed + 1, 0x9e3779b1) >>> 0) || 1;
  const unit = scale / 0x80000000;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = state * unit;
  }
  return out;
}

/** A weight with GPT-2's deviation of 0.02; uniform, as 124M normal numbers take longer than a step. */
export function weight(seed: number, length: number, deviation = 0.02): Float32Array<ArrayBuffer> {
  return uniform(seed, length, deviation * Math.sqrt(3));
}

/** Inputs and targets of one batch, [batch·context] each: the batch that Sinter's own benchmark trains on. */
export function batchOf({ batch, context, vocabulary }: Pick<StepCase, "batch" | "context" | "vocabulary">): {
  tokens: Int32Array<ArrayBuffer>;
  targets: Int32Array<ArrayBuffer>;
} {
  const tokens = Int32Array.from(
    { length: batch * context },
    (_, i) => (i * 7919 + (i * i) % 31) % vocabulary,
  );
  return { tokens, targets: tokens.map((_, i) => tokens[(i + 1) % tokens.length]) };
}

/** Sizes of the pieces that a dimension is cut into: as equal as they can be, each at most `most`. */
export function pieces(size: number, most: number): number[] {
  const count = Math.ceil(size / most);
  return Array.from(
    { length: count },
    (_, i) => Math.floor(size * (i + 1) / count) - Math.floor(size * i / count),
  );
}
