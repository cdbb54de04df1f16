/**
 * Pointwise ops: result element i depends on elements i of the inputs. Inputs have equal shapes; floats are computed in
 * f32 in kernels whatever their storage.
 *
 * @module
 */
import { type DType, isFloat } from "../dtype.ts";
import type { TensorType } from "../graph.ts";
import type { Tensor } from "../tensor.ts";
import type { HostTensor, OpSpec, RegisterType } from "./types.ts";

type Kind = "number" | "float" | "bool";

/** `value` as a literal with the type of an expression. */
export function typedLiteral(value: number, { dtype, lanes }: RegisterType): string {
  const scalar = dtype === "bool"
    ? String(value !== 0)
    : isFloat(dtype)
    ? `${Number.isInteger(value) ? value.toFixed(1) : value}`
    : dtype === "u32"
    ? `${value}u`
    : `${value}i`;
  if (lanes === 1) return scalar;
  return `vec4<${isFloat(dtype) ? "f32" : dtype}>(${scalar})`;
}

function requireKind(type: TensorType, kind: Kind): void {
  const fits = kind === "bool"
    ? type.dtype === "bool"
    : kind === "float"
    ? isFloat(type.dtype)
    : type.dtype !== "bool";
  if (!fits) {
    throw new Error(`expected ${kind === "number" ? "numbers" : `${kind} values`} but got ${type.dtype}`);
  }
}

function requireEqual(a: TensorType, b: TensorType): void {
  if (a.dtype !== b.dtype) throw new Error(`dtypes ${a.dtype} and ${b.dtype} differ`);
  if (a.shape.join() !== b.shape.join()) throw new Error(`shapes [${a.shape}] and [${b.shape}] differ`);
}

/** Rounds a float64 result to what the dtype can hold where that is part of an op's meaning: integers wrap. */
function wrap(value: number, dtype: DType): number {
  if (dtype === "i32") return value | 0;
  if (dtype === "u32") return value >>> 0;
  return value;
}

interface UnarySpec {
  kind?: Kind;
  cost?: number;
  evaluate(x: number): number;
  wgsl(x: string, type: RegisterType): string;
  vjp?(g: Tensor, y: Tensor, x: Tensor): Tensor;
}

function unary({ kind = "float", cost = 1, evaluate, wgsl, vjp }: UnarySpec): OpSpec {
  return {
    class: "pointwise",
    cost,
    infer: ([x]) => {
      requireKind(x, kind);
      return { shape: x.shape, dtype: x.dtype };
    },
    evaluate: ([x], _, { dtype }) => x.data.map((value) => wrap(evaluate(value), dtype)),
    wgsl: ([x], type) => wgsl(x, type),
    ...(vjp ? { vjp: (g: Tensor, y: Tensor, [x]: readonly Tensor[]) => [vjp(g, y, x)] } : {}),
  };
}

interface BinarySpec {
  kind?: Kind;
  cost?: number;
  /** Yields bool. */
  compares?: boolean;
  evaluate(a: number, b: number, dtype: DType): number;
  wgsl(a: string, b: string, type: RegisterType): string;
  vjp?(g: Tensor, y: Tensor, a: Tensor, b: Tensor): [Tensor, Tensor];
}

function binary({ kind = "number", cost = 1, compares = false, evaluate, wgsl, vjp }: BinarySpec): OpSpec {
  return {
    class: "pointwise",
    cost,
    infer: ([a, b]) => {
      requireKind(a, kind);
      requireEqual(a, b);
      return { shape: a.shape, dtype: compares ? "bool" : a.dtype };
    },
    evaluate: ([a, b], _, { dtype }) =>
      a.data.map((value, i) => wrap(evaluate(value, b.data[i], dtype), dtype)),
    wgsl: ([a, b], type) => wgsl(a, b, type),
    ...(vjp ? { vjp: (g: Tensor, y: Tensor, [a, b]: readonly Tensor[]) => vjp(g, y, a, b) } : {}),
  };
}

function comparison(operator: string, evaluate: (a: number, b: number) => boolean): OpSpec {
  return binary({
    compares: true,
    evaluate: (a, b) => Number(evaluate(a, b)),
    wgsl: (a, b) => `(${a} ${operator} ${b})`,
  });
}

/** -x, also where x is a literal that has a sign: WGSL has a token `--`. */
function negated(x: string): string {
  return x.startsWith("-") ? `(- ${x})` : `(-${x})`;
}

/** Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7. */
function erfWgsl(x: string, type: RegisterType): string {
  const one = typedLiteral(1, type);
  const t = `(${one} / (${one} + 0.3275911 * abs(${x})))`;
  const series = `${t} * (0.254829592 + ${t} * (-0.284496736 + ${t} * (1.421413741 + ${t} * ` +
    `(-1.453152027 + 1.061405429 * ${t}))))`;
  return `(sign(${x}) * (${one} - ${series} * exp(${negated(x)} * ${x})))`;
}

/** Error function in float64, by its Maclaurin series near 0 and by the continued fraction of erfc elsewhere. */
function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  if (magnitude < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 80; n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (magnitude + fraction);
  return Math.sign(x) * (1 - Math.exp(-magnitude * magnitude) / Math.sqrt(Math.PI) / (magnitude + fraction));
}

/** 1 - 2 / (exp(2x) + 1), clamped: SwiftShader's own tanh gives NaN past 88, lavapipe's loses small values. */
function tanhWgsl(x: string, type: RegisterType): string {
  const clamped = `clamp(${x}, ${typedLiteral(-15, type)}, ${typedLiteral(15, type)})`;
  return `(1.0 - 2.0 / (exp(2.0 * ${clamped}) + 1.0))`;
}

const CAST_WGSL: Record<DType, string> = {
  f32: "f32",
  f16: "f32",
  bf16: "f32",
  i32: "i32",
  u32: "u32",
  bool: "bool",
};

/** The bf16 nearest to a number, ties to even: the upper half of an f32's bits. */
function roundToBf16(value: number): number {
  if (!Number.isFinite(value)) return value;
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0] + 0x7fff + (bits[0] >>> 16 & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0];
}

/** WGSL's conversions: integers keep their bits, floats truncate towards 0 and stop at the ends of the range. */
function castTo(value: number, from: DType, to: DType): number {
  if (to === "bool") return Number(value !== 0);
  if (to === "f16") return Math.f16round(value);
  if (to === "bf16") return roundToBf16(value);
  if (to === "f32") return value;
  if (!isFloat(from)) return wrap(value, to);
  const [low, high] = to === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  return Math.max(low, Math.min(high, Math.trunc(value)));
}

const numberUnary = (spec: UnarySpec) => unary({ kind: "number", ...spec });

/** The pointwise rows of the op table. */
export const POINTWISE: Record<string, OpSpec> = {
  neg: numberUnary({ evaluate: (x) => -x, wgsl: negated, vjp: (g) => g.neg() }),
  abs: numberUnary({
    evaluate: Math.abs,
    wgsl: (x) => `abs(${x})`,
    vjp: (g, _, x) => g.where(x.ge(0), g.neg()),
  }),
  exp: unary({ cost: 10, evaluate: Math.exp, wgsl: (x) => `exp(${x})`, vjp: (g, y) => g.mul(y) }),
  log: unary({ cost: 10, evaluate: Math.log, wgsl: (x) => `log(${x})`, vjp: (g, _, x) => g.div(x) }),
  sqrt: unary({ cost: 4, evaluate: Math.sqrt, wgsl: (x) => `sqrt(${x})`, vjp: (g, y) => g.mul(0.5).div(y) }),
  rsqrt: unary({
    cost: 4,
    evaluate: (x) => 1 / Math.sqrt(x),
    wgsl: (x) => `inverseSqrt(${x})`,
    vjp: (g, y) => g.mul(y.mul(y).mul(y).mul(-0.5)),
  }),
  reciprocal: unary({
    cost: 4,
    evaluate: (x) => 1 / x,
    wgsl: (x) => `(1.0 / ${x})`,
    vjp: (g, y) => g.mul(y.mul(y).neg()),
  }),
  tanh: unary({
    cost: 16,
    evaluate: Math.tanh,
    wgsl: tanhWgsl,
    vjp: (g, y) => g.mul(y.mul(y).neg().add(1)),
  }),
  erf: unary({
    cost: 24,
    evaluate: erf,
    wgsl: erfWgsl,
    vjp: (g, _, x) => g.mul(x.mul(x).neg().exp().mul(2 / Math.sqrt(Math.PI))),
  }),
  sin: unary({ cost: 10, evaluate: Math.sin, wgsl: (x) => `sin(${x})`, vjp: (g, _, x) => g.mul(x.cos()) }),
  cos: unary({
    cost: 10,
    evaluate: Math.cos,
    wgsl: (x) => `cos(${x})`,
    vjp: (g, _, x) => g.mul(x.sin().neg()),
  }),
  floor: unary({ evaluate: Math.floor, wgsl: (x) => `floor(${x})` }),
  not: unary({ kind: "bool", evaluate: (x) => 1 - x, wgsl: (x) => `(!${x})` }),

  add: binary({ evaluate: (a, b) => a + b, wgsl: (a, b) => `(${a} + ${b})`, vjp: (g) => [g, g] }),
  sub: binary({ evaluate: (a, b) => a - b, wgsl: (a, b) => `(${a} - ${b})`, vjp: (g) => [g, g.neg()] }),
  mul: binary({
    evaluate: (a, b, dtype) => isFloat(dtype) ? a * b : Math.imul(a, b),
    wgsl: (a, b) => `(${a} * ${b})`,
    vjp: (g, _, a, b) => [g.mul(b), g.mul(a)],
  }),
  div: binary({
    cost: 4,
    evaluate: (a, b, dtype) => isFloat(dtype) ? a / b : Math.trunc(a / b),
    wgsl: (a, b) => `(${a} / ${b})`,
    vjp: (g, y, _, b) => [g.div(b), g.mul(y.neg()).div(b)],
  }),
  // At a tie the first operand gets the whole cotangent, of maximum and of minimum.
  maximum: binary({
    evaluate: (a, b) => Math.max(a, b),
    wgsl: (a, b) => `max(${a}, ${b})`,
    vjp: (g, _, a, b) => [g.mul(a.ge(b).cast(g.dtype)), g.mul(a.lt(b).cast(g.dtype))],
  }),
  minimum: binary({
    evaluate: (a, b) => Math.min(a, b),
    wgsl: (a, b) => `min(${a}, ${b})`,
    vjp: (g, _, a, b) => [g.mul(a.le(b).cast(g.dtype)), g.mul(a.gt(b).cast(g.dtype))],
  }),
  pow: binary({
    kind: "float",
    cost: 20,
    evaluate: Math.pow,
    wgsl: (a, b) => `pow(${a}, ${b})`,
    vjp: (g, y, a, b) => [g.mul(b).mul(a.pow(b.sub(1))), g.mul(y).mul(a.log())],
  }),

  eq: comparison("==", (a, b) => a === b),
  ne: comparison("!=", (a, b) => a !== b),
  lt: comparison("<", (a, b) => a < b),
  le: comparison("<=", (a, b) => a <= b),
  gt: comparison(">", (a, b) => a > b),
  ge: comparison(">=", (a, b) => a >= b),
  // By the bits: drivers fold away what compares a number with itself or with infinity.
  isFinite: {
    class: "pointwise",
    infer: ([x]) => {
      requireKind(x, "float");
      return { shape: x.shape, dtype: "bool" };
    },
    evaluate: ([x]) => x.data.map((value) => Number(Number.isFinite(value))),
    wgsl: ([x], { lanes }) => {
      const [bits, value] = lanes === 4 ? ["vec4<u32>", "vec4<f32>"] : ["u32", "f32"];
      return `((bitcast<${bits}>(${value}(${x})) & ${bits}(0x7fffffffu)) < ${bits}(0x7f800000u))`;
    },
  },
  and: binary({ kind: "bool", evaluate: (a, b) => a * b, wgsl: (a, b) => `(${a} & ${b})` }),
  or: binary({ kind: "bool", evaluate: (a, b) => Math.max(a, b), wgsl: (a, b) => `(${a} | ${b})` }),

  select: {
    class: "pointwise",
    infer: ([condition, a, b]) => {
      requireKind(condition, "bool");
      requireEqual(a, b);
      if (condition.shape.join() !== a.shape.join()) {
        throw new Error(`condition of shape [${condition.shape}] does not fit values of shape [${a.shape}]`);
      }
      return { shape: a.shape, dtype: a.dtype };
    },
    evaluate: ([condition, a, b]: readonly HostTensor[]) =>
      condition.data.map((chosen, i) => chosen ? a.data[i] : b.data[i]),
    wgsl: ([condition, a, b]) => `select(${b}, ${a}, ${condition})`,
    vjp: (g, _, [condition]) => [undefined, g.where(condition, 0), g.where(condition.not(), 0)],
  },
  cast: {
    class: "pointwise",
    infer: ([x], { dtype }) => ({ shape: x.shape, dtype: dtype as DType }),
    evaluate: ([x], _, { dtype }) => x.data.map((value) => castTo(value, x.dtype, dtype)),
    wgsl: ([x], { lanes }, { dtype }) => {
      const type = CAST_WGSL[dtype as DType];
      return lanes === 4 ? `vec4<${type}>(${x})` : `${type}(${x})`;
    },
    vjp: (g, _, [x]) => [isFloat(x.dtype) ? g.cast(x.dtype) : undefined],
  },
};
