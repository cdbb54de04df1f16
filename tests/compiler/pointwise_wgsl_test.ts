import { assert, assertEquals } from "@std/assert";
import type { DType } from "../../compiler/mod.ts";
import { philox, PHILOX_WGSL } from "../../compiler/ops/leaves.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { Prng } from "../support/prng.ts";

const SEED = 41;
/** Elements that every op is tried on, a multiple of four. */
const COUNT = 64;

/** An op over arguments of one dtype. */
interface Trial {
  readonly op: string;
  readonly result: DType;
  readonly attrs?: { readonly dtype: DType };
  /** Maps arguments in (-1, 1) to where the op is defined; by default they are stretched to (-4, 4). */
  readonly domain?: (x: number) => number;
  /** Allowed error, relative or absolute, whichever is larger; 1e-5 for floats by default. */
  readonly tolerance?: number;
}

const positive = (x: number) => 0.1 + 4 * Math.abs(x);
const nonZero = (x: number) => x < 0 ? 4 * x - 0.5 : 4 * x + 0.5;
const far = (x: number) => x ** 3 * 1000;
const sometimesInfinite = (x: number) =>
  x > 0.5 ? Infinity : x < -0.75 ? NaN : x < -0.5 ? -Infinity : x * 6e38;

const arithmetic = ["add", "sub", "mul", "maximum", "minimum"];
const comparisons = ["eq", "ne", "lt", "le", "gt", "ge"];
const of = (ops: readonly string[], result: DType): Trial[] => ops.map((op) => ({ op, result }));
const casts = (...dtypes: DType[]): Trial[] =>
  dtypes.map((dtype) => ({ op: "cast", result: dtype, attrs: { dtype } }));

const TRIALS: Partial<Record<DType, Trial[]>> = {
  f32: [
    ...of(["neg", "abs", "exp", "floor", ...arithmetic], "f32"),
    ...of(["log", "sqrt", "rsqrt", "pow"], "f32").map((trial) => ({ ...trial, domain: positive })),
    ...of(["reciprocal", "div"], "f32").map((trial) => ({ ...trial, domain: nonZero })),
    // SwiftShader's sine and cosine are no better.
    ...of(["sin", "cos"], "f32").map((trial) => ({ ...trial, tolerance: 3e-4 })),
    ...of(["tanh", "erf"], "f32"),
    ...of(["tanh", "erf"], "f32").map((trial) => ({ ...trial, domain: far })),
    ...of([...comparisons, "select"], "bool").map((trial) =>
      trial.op === "select" ? { ...trial, result: "f32" as const } : trial
    ),
    { op: "isFinite", result: "bool", domain: sometimesInfinite },
    ...casts("f32", "i32", "u32", "bool"),
  ],
  i32: [
    ...of(["neg", "abs", ...arithmetic, "select"], "i32"),
    { op: "div", result: "i32", domain: nonZero },
    ...of(comparisons, "bool"),
    ...casts("f32", "i32", "u32", "bool"),
  ],
  u32: [
    ...of([...arithmetic, "select"], "u32"),
    { op: "div", result: "u32", domain: nonZero },
    ...of(comparisons, "bool"),
    ...casts("f32", "i32", "u32", "bool"),
  ],
  bool: [...of(["not", "and", "or", "eq", "ne", "select"], "bool"), ...casts("f32", "i32", "u32", "bool")],
};

const UNARY = new Set(
  "neg abs exp log sqrt rsqrt reciprocal tanh erf sin cos floor isFinite not cast".split(" "),
);

/** Three columns of arguments for each trial, as the dtype holds them; the first and second are sometimes equal. */
function argumentsOf(trial: Trial, dtype: DType, prng: Prng): number[][] {
  const { domain = (x: number) => 4 * x } = trial;
  const draw = () => {
    const x = domain(2 * prng.uniform() - 1);
    if (dtype === "f32") return Math.fround(x);
    if (dtype === "bool") return Number(x > 0);
    const whole = Math.round(x * (prng.chance(0.5) ? 1 : 2 ** 28)) || 1;
    return dtype === "i32" ? whole | 0 : whole >>> 0;
  };
  const columns = [0, 1, 2].map(() => Array.from({ length: COUNT }, draw));
  for (let i = 0; i < COUNT; i += 5) columns[1][i] = columns[0][i];
  return columns;
}

/** A kernel that writes the bits of each trial's results twice: from vec4 code and from scalar code. */
function kernelOf(trials: readonly Trial[], dtype: DType): string {
  const register = dtype === "bool" ? "bool" : dtype;
  const stored = dtype === "bool" ? "u32" : dtype;
  const load = (trial: number, column: number) => {
    const text = `given[(${trial}u * 3u + ${column}u) * ${COUNT / 4}u + id.x]`;
    return dtype === "bool" ? `(${text} != vec4<u32>(0u))` : text;
  };
  const lines = trials.flatMap(({ op, attrs = {}, result }, t) => {
    const names = ["a", "b", "c"].map((name) => `${name}${t}`);
    const expression = (lanes: 1 | 4, suffix: string) => {
      const [a, b, c] = names.map((name) => name + suffix);
      const condition = dtype === "bool" ? c : `(${a} < ${b})`;
      const args = op === "select" ? [condition, b, c] : UNARY.has(op) ? [a] : [a, b];
      const type = { dtype: op === "select" ? "bool" as const : dtype, lanes };
      return OPS[op].wgsl!(args, type, attrs);
    };
    const bits = (text: string, lanes: 1 | 4) => {
      const type = lanes === 4 ? "vec4<u32>" : "u32";
      return result === "bool" ? `select(${type}(0u), ${type}(1u), ${text})` : `bitcast<${type}>(${text})`;
    };
    const scalars = [0, 1, 2, 3].map((lane) => bits(expression(1, `[${lane}]`), 1));
    return [
      ...names.map((name, column) => `let ${name}: vec4<${register}> = ${load(t, column)};`),
      `results[${2 * t}u * ${COUNT / 4}u + id.x] = ${bits(expression(4, ""), 4)};`,
      `results[${2 * t + 1}u * ${COUNT / 4}u + id.x] = vec4<u32>(${scalars.join(", ")});`,
    ];
  });
  return `@group(0) @binding(0) var<storage, read> given: array<vec4<${stored}>>;
@group(0) @binding(1) var<storage, read_write> results: array<vec4<u32>>;
@compute @workgroup_size(${COUNT / 4}) fn main(@builtin(local_invocation_id) id: vec3<u32>) {
  ${lines.join("\n  ")}
}`;
}

/** Runs one workgroup over an input and an output of 32-bit words. */
async function runKernel(device: GPUDevice, wgsl: string, words: Uint32Array, results: number) {
  const problems: string[] = [];
  device.addEventListener(
    "uncapturederror",
    (event) => problems.push((event as GPUUncapturedErrorEvent).error.message),
  );
  const buffer = (size: number, usage: number) => device.createBuffer({ size, usage });
  const input = buffer(words.byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
  const output = buffer(results * 4, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  const staging = buffer(results * 4, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  device.queue.writeBuffer(input, 0, words as Uint32Array<ArrayBuffer>);
  const module = device.createShaderModule({ code: wgsl });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [input, output].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(output, 0, staging, 0, results * 4);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  assertEquals(problems, [], wgsl);
  const read = new Uint32Array(staging.getMappedRange().slice(0));
  for (const each of [input, output, staging]) each.destroy();
  return read;
}

async function withDevice(body: (device: GPUDevice) => Promise<void>): Promise<void> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("these tests need a WebGPU adapter");
  const device = await adapter.requestDevice();
  try {
    await body(device);
  } finally {
    device.destroy();
  }
}

/** 32-bit words as values of a dtype, or the other way round. */
function view(words: Uint32Array, dtype: DType): Float32Array | Int32Array | Uint32Array {
  const Type = dtype === "f32" ? Float32Array : dtype === "i32" ? Int32Array : Uint32Array;
  return new Type(words.buffer as ArrayBuffer, words.byteOffset, words.length);
}

for (const [dtype, trials] of Object.entries(TRIALS) as [DType, Trial[]][]) {
  Deno.test(`the WGSL of every op on ${dtype} gives the reference's values, as vec4 and as scalar`, () =>
    withDevice(async (device) => {
      const prng = new Prng(SEED);
      const columns = trials.map((trial) => argumentsOf(trial, dtype, prng));
      const words = new Uint32Array(trials.length * 3 * COUNT);
      view(words, dtype).set(columns.flat(2));
      const results = await runKernel(device, kernelOf(trials, dtype), words, trials.length * 2 * COUNT);
      trials.forEach(({ op, attrs = {}, result, tolerance = 1e-5 }, t) => {
        const [a, b, c] = columns[t];
        const condition = dtype === "bool" ? c : a.map((value, i) => Number(value < b[i]));
        const args = op === "select" ? [condition, b, c] : UNARY.has(op) ? [a] : [a, b];
        const tensors = args.map((data) => ({ data: Float64Array.from(data), shape: [COUNT], dtype }));
        const expected = OPS[op].evaluate!(tensors, attrs, { shape: [COUNT], dtype: result });
        for (const [form, at] of [["vec4", 2 * t], ["scalar", 2 * t + 1]] as const) {
          const actual = view(results.subarray(at * COUNT, (at + 1) * COUNT), result);
          expected.forEach((value, i) => {
            const allowed = result === "f32" ? tolerance * Math.max(1, Math.abs(value)) : 0;
            const what = `${form} ${op} to ${result} of ${args.map((column) => column[i])}`;
            assert(Math.abs(actual[i] - value) <= allowed, `${what} is ${actual[i]}, not ${value} (${SEED})`);
          });
        }
      });
    }));
}

Deno.test("every pointwise op has its WGSL tried", () => {
  const tried = new Set(Object.values(TRIALS).flatMap((trials) => trials.map(({ op }) => op)));
  const pointwise = Object.keys(OPS).filter((op) => OPS[op].class === "pointwise");
  assertEquals(pointwise.filter((op) => !tried.has(op)), []);
});

Deno.test("negating a literal that has a sign is no decrement", () => {
  assertEquals(OPS.neg.wgsl!(["-1.5f"], { dtype: "f32", lanes: 1 }, {}), "(- -1.5f)");
});

Deno.test("Philox gives the same words on the device as in the reference", () =>
  withDevice(async (device) => {
    const prng = new Prng(SEED);
    const words = Uint32Array.from({ length: 3 * COUNT }, () => prng.integer(0, 2 ** 32 - 1));
    words.set([0, 0, 0, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1]);
    const wgsl = `${PHILOX_WGSL}
@group(0) @binding(0) var<storage, read> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;
@compute @workgroup_size(${COUNT}) fn main(@builtin(local_invocation_id) id: vec3<u32>) {
  results[id.x] = philox(given[3u * id.x], given[3u * id.x + 1u], given[3u * id.x + 2u]);
}`;
    const actual = await runKernel(device, wgsl, words, COUNT);
    const expected = actual.map((_, i) => philox(words[3 * i], words[3 * i + 1], words[3 * i + 2]));
    assertEquals(actual, expected, `seed ${SEED}`);
  }));
