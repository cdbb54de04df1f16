/**
 * The values that a program is checked on: those of a real step where the program is a training program (parameters from
 * the seed or a checkpoint, a batch of the data, the scalars of the first step), and small seeded numbers for whatever is
 * left. Nothing is zero throughout, because a kernel that forgets it would pass: fresh parameters are moved a little, as the
 * first steps would move them, and moments are made up.
 *
 * @module
 */
import { join } from "@std/path";
import {
  type Compilation,
  compileGraph,
  type DType,
  type Graph,
  isFloat,
  type Node,
  sizeOf,
} from "../../compiler/mod.ts";
import { loadTokenizer, openData } from "../../data/mod.ts";
import type { GpuDevice, LoadedProgram, TensorData } from "../../runtime/mod.ts";
import { BYTE_VOCABULARY, type ModelConfig } from "../config.ts";
import { exists } from "../durable_files.ts";
import { InputError } from "../errors.ts";
import { initialValues } from "../init_from.ts";
import { stepScalars } from "../optimizer.ts";
import { arenaNames, layoutParameters, type ParameterLayout } from "../params.ts";
import { LOSS_SCALING } from "../precision.ts";
import { traceInit } from "../programs.ts";
import { randomKey } from "../random_keys.ts";
import type { RunPlan } from "../run_options.ts";
import { SafetensorsFile } from "../safetensors.ts";
import type { Weights } from "../weights.ts";

/** A value for every input of a program. */
export interface StepValues {
  /** By state name. */
  readonly states: Readonly<Record<string, TensorData>>;
  /** By input name. */
  readonly batch: Readonly<Record<string, TensorData>>;
  /** By scalar name. */
  readonly scalars: Readonly<Record<string, number>>;
}

/** Where the values come from, besides the plan's seed and data. */
export interface StepSources {
  /** Trained weights in place of fresh ones, from `--checkpoint`. */
  readonly weights?: Weights;
  /** Names of inputs whose values are known. */
  readonly known?: Readonly<Record<string, TensorData | number>>;
}

/** Spread of made-up numbers. */
const SPREAD = 0.1;
/** How far the first steps move a parameter. */
const FIRST_STEPS = 1e-2;
/** Spread of made-up moments: that of gradients. */
const MOMENTS = 1e-3;
/** Made-up whole numbers lie below this. */
const WHOLE = 2;

/**
 * The values of a step of `plan` for a program of its model.
 *
 * @throws {DataError} when the data cannot be read.
 * @throws {InputError} when the weights are of another model.
 */
export async function stepValues(
  device: GpuDevice,
  graph: Graph,
  plan: RunPlan,
  { weights, known = {} }: StepSources = {},
): Promise<StepValues> {
  const { model, seed, microBatch, learningRate } = plan;
  const layout = layoutParameters(model);
  if (weights) requireModel(weights, model);
  const asked = new Set(inputsOf(graph).map(({ attrs }) => attrs.name as string));
  const needs = (names: readonly string[]) => names.some((name) => asked.has(name));
  const values: Record<string, TensorData | number> = {
    ...stepScalars(weights?.step ?? 0, learningRate),
    key: randomKey(seed, "weights"),
    keep: 1,
    weight: 1,
    lossScale: Float32Array.of(LOSS_SCALING.initial),
    goodSteps: Float32Array.of(0),
  };
  if (needs(arenaNames(layout, "params"))) {
    const flat = weights
      ? await initialValues(weights, model)
      : moved(await freshParameters(device, plan, layout));
    Object.assign(values, inArenas(layout, "params", flat));
  }
  const moments = weights && await savedMoments(weights.path);
  if (moments) Object.assign(values, inArenas(layout, "m", moments.m), inArenas(layout, "v", moments.v));
  else if (needs(arenaNames(layout, "v"))) {
    const m = uniform(layout.size, seed).map((value) => MOMENTS * value);
    Object.assign(values, inArenas(layout, "m", m), inArenas(layout, "v", m.map((value) => value * value)));
  }
  if (needs(["targets"])) {
    const tokenizer = await loadTokenizer(plan.tokenizer);
    const data = await openData(plan.data, tokenizer, { batch: microBatch, context: model.context, seed });
    Object.assign(values, data.batchAt(0));
    data.close();
  }
  return fillValues(graph, { ...values, ...known });
}

/** A value for every input of a graph: the known ones, and made-up ones for the others. */
export function fillValues(
  graph: Graph,
  known: Readonly<Record<string, TensorData | number>> = {},
): StepValues {
  const states: Record<string, TensorData> = {};
  const batch: Record<string, TensorData> = {};
  const scalars: Record<string, number> = {};
  for (const [index, node] of inputsOf(graph).entries()) {
    const { name, role } = node.attrs as { name: string; role: string };
    const value = known[name];
    if (role === "scalar") scalars[name] = typeof value === "number" ? value : Number(madeUp(node, index)[0]);
    else (role === "state" ? states : batch)[name] = typeof value === "object" ? value : madeUp(node, index);
  }
  return { states, batch, scalars };
}

/** Loads a compiled program whose states hold the values; `destroy` of both gives the memory back. */
export async function openOn(
  device: GpuDevice,
  { program }: Compilation,
  { states: values }: StepValues,
): Promise<{ readonly loaded: LoadedProgram } & Disposable> {
  const states = device.createStates();
  const loaded = await device.load(program, states);
  for (const [name, data] of Object.entries(values)) states.write(name, 0, data);
  return {
    loaded,
    [Symbol.dispose]: () => {
      loaded.destroy();
      states.destroy();
    },
  };
}

function inputsOf({ nodes }: Graph): Node[] {
  return nodes.filter(({ op }) => op === "input");
}

/** Parameters as a run would draw them, on the device. */
async function freshParameters(
  device: GpuDevice,
  plan: RunPlan,
  layout: ParameterLayout,
): Promise<Float32Array> {
  const program = compileGraph(traceInit(plan.model, layout, plan.dtype), device.capabilities, {
    name: "init",
  });
  const states = device.createStates();
  const loaded = await device.load(program, states);
  loaded.run({ scalars: { key: randomKey(plan.seed, "weights") } });
  const flat = new Float32Array(layout.size);
  for (const [i, name] of arenaNames(layout, "params").entries()) {
    const { start, end } = layout.arenas[i];
    const bytes = await states.read(name, 0, 4 * (end - start));
    flat.set(new Float32Array(bytes.buffer, 0, end - start), start);
  }
  loaded.destroy();
  states.destroy();
  return flat;
}

function requireModel({ config, path }: Weights, model: ModelConfig): void {
  const sizes = ["layers", "width", "heads", "vocabulary"] as const;
  const other = sizes.find((size) => config[size] !== model[size]);
  if (other === undefined && config.context >= model.context) return;
  const { layers, width, heads, context, vocabulary } = config;
  throw new InputError(
    `--checkpoint ${path}`,
    `a model with another ${other ?? "context"} than the one that is looked at`,
    `add --layers ${layers} --width ${width} --heads ${heads} --context ${context} --tokenizer ` +
      (vocabulary === BYTE_VOCABULARY ? "bytes" : "gpt2"),
  );
}

/** The optimizer's moments in a checkpoint that has them. */
async function savedMoments(
  folder: string,
): Promise<{ readonly m: Float32Array; readonly v: Float32Array } | undefined> {
  const path = join(folder, "trainer.safetensors");
  if (!await exists(path)) return undefined;
  using file = await SafetensorsFile.open(path);
  return { m: await file.read("m"), v: await file.read("v") };
}

/** Parameters after a step or two. */
function moved(flat: Float32Array): Float32Array {
  const noise = uniform(flat.length, 0);
  return flat.map((value, i) => value + FIRST_STEPS * noise[i]);
}

function inArenas(layout: ParameterLayout, kind: string, flat: Float32Array): Record<string, TensorData> {
  const names = arenaNames(layout, kind);
  return Object.fromEntries(layout.arenas.map(({ start, end }, i) => [names[i], flat.subarray(start, end)]));
}

function madeUp({ shape, dtype }: Node, seed: number): TensorData {
  const values = uniform(sizeOf(shape), seed + 1);
  return isFloat(dtype) ? floats(values, dtype) : wholes(values, dtype);
}

function floats(values: Float32Array, dtype: DType): TensorData {
  const scaled = values.map((value) => SPREAD * value);
  if (dtype === "f16") return Float16Array.from(scaled);
  if (dtype === "bf16") return Uint16Array.from(new Uint32Array(scaled.buffer), (bits) => bits >>> 16);
  return scaled;
}

function wholes(values: Float32Array, dtype: DType): TensorData {
  const whole = values.map((value) => Math.floor(WHOLE * Math.abs(value)));
  return dtype === "i32" ? Int32Array.from(whole) : Uint32Array.from(whole);
}

/** Numbers between -1 and 1: Marsaglia's xorshift with 32 bits. */
function uniform(count: number, seed: number): Float32Array<ArrayBuffer> {
  let bits = 0x9e3779b9 ^ Math.imul(seed + 1, 0x85ebca6b) || 1;
  return Float32Array.from({ length: count }, () => {
    bits ^= bits << 13;
    bits ^= bits >>> 17;
    bits ^= bits << 5;
    return bits / 2 ** 31;
  });
}
