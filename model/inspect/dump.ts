/**
 * The values of a run as a file, so that another adapter's can be compared with them: a safetensors file with what the
 * program was given (`input NAME`) and what it stored (`value KEY`). Everything is f32 there; whole numbers of more digits
 * are split.
 *
 * @module
 */
import { type DType, type Graph, isHalf } from "../../compiler/mod.ts";
import type { TensorData } from "../../runtime/mod.ts";
import { InputError } from "../errors.ts";
import { type NamedTensor, SafetensorsFile, writeSafetensors } from "../safetensors.ts";
import type { Side } from "./bisect.ts";
import type { StepValues } from "./step_values.ts";
import type { TracedValue } from "./trace_values.ts";

/** What a file holds. */
export interface Dump {
  /** Name of the program. */
  readonly program: string;
  /** What the run stored. */
  readonly side: Side;
  /** What it was given. */
  readonly values: StepValues;
}

const FORMAT = "sinter-values-1";

/** What the file says of a value besides its numbers. */
type ValueFacts = Omit<TracedValue, "data">;

/**
 * Writes a run's values.
 *
 * @param path Of the file; one that is there is replaced.
 */
export async function writeDump(path: string, { program, side, values }: Dump): Promise<void> {
  const tensors: NamedTensor[] = [];
  for (const [name, data] of Object.entries({ ...values.states, ...values.batch })) {
    tensors.push(flat(`input ${name}`, numbers(data)));
  }
  const facts: Record<string, ValueFacts> = {};
  for (const [key, { data, ...rest }] of side.values) {
    facts[key] = rest;
    tensors.push(flat(`value ${key}`, data));
  }
  const metadata = {
    format: FORMAT,
    program,
    label: side.label,
    scalars: JSON.stringify(values.scalars),
    values: JSON.stringify(facts),
  };
  const temporary = `${path}.tmp`;
  {
    using file = await Deno.open(temporary, { write: true, create: true, truncate: true });
    await writeSafetensors(file, tensors, metadata);
    await file.sync();
  }
  await Deno.rename(temporary, path);
}

/**
 * Reads such a file, for a program of this graph.
 *
 * @throws {SafetensorsError} when the file is not what it should be.
 * @throws {InputError} when it belongs to another program.
 */
export async function readDump(path: string, graph: Graph): Promise<Dump> {
  using file = await SafetensorsFile.open(path);
  const { metadata } = file;
  if (metadata.format !== FORMAT) {
    throw new InputError(path, "holds no values of a run", "write them with --dump on the other adapter");
  }
  const states: Record<string, TensorData> = {};
  const batch: Record<string, TensorData> = {};
  for (const { op, attrs, dtype } of graph.nodes) {
    if (op !== "input" || attrs.role === "scalar") continue;
    const name = `input ${attrs.name}`;
    if (!file.entries.has(name)) {
      throw new InputError(
        path,
        `is of another program: it has no ${attrs.name}`,
        "take the same flags on both",
      );
    }
    const data = asTensor(await file.read(name), dtype);
    (attrs.role === "state" ? states : batch)[attrs.name as string] = data;
  }
  const facts = JSON.parse(metadata.values) as Record<string, ValueFacts>;
  const values = new Map<string, TracedValue>();
  for (const [key, rest] of Object.entries(facts)) {
    values.set(key, { ...rest, data: new Float32Array(await file.read(`value ${key}`)) });
  }
  return {
    program: metadata.program,
    side: { label: metadata.label, values },
    values: { states, batch, scalars: JSON.parse(metadata.scalars) },
  };
}

function flat(name: string, data: Float32Array): NamedTensor {
  return { name, shape: [data.length], data };
}

/** Words as two numbers each, since f32 has no 32 digits; halves as their bits. */
function numbers(data: TensorData): Float32Array {
  if (data instanceof Float32Array) return data;
  if (data instanceof Float16Array) return new Float32Array(data);
  if (data instanceof Uint16Array) return new Float32Array(data);
  return Float32Array.from({ length: 2 * data.length }, (_, i) => {
    const word = data[i >> 1] >>> 0;
    return i % 2 === 0 ? word % 2 ** 16 : Math.floor(word / 2 ** 16);
  });
}

function asTensor(stored: Float32Array, dtype: DType): TensorData {
  if (dtype === "f32") return new Float32Array(stored);
  if (isHalf(dtype)) return dtype === "f16" ? new Float16Array(stored) : new Uint16Array(stored);
  const words = Uint32Array.from(
    { length: stored.length / 2 },
    (_, i) => stored[2 * i] + stored[2 * i + 1] * 2 ** 16,
  );
  return dtype === "i32" ? new Int32Array(words.buffer) : words;
}
