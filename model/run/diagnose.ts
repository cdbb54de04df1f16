/**
 * Finds out what went wrong first in a step whose figures are no numbers: a parameter, or the first tensor of the step's own
 * computation. Such a step changes nothing on the device, so the weights are those that it began with, but for steps that were
 * under way behind it.
 *
 * @module
 */
import { compileGraph, type Node, probeFinite } from "../../compiler/mod.ts";
import type { Batch } from "../../data/mod.ts";
import type { LoadedProgram } from "../../runtime/mod.ts";
import type { Parameter } from "../params.ts";
import { traceGradients } from "../programs.ts";
import type { TrainingSession } from "../session.ts";

/** The first tensor with values that are no numbers. */
export interface BadTensor {
  /** A parameter's name, or an operation with the part of the model that it belongs to. */
  readonly name: string;
  /** Values that are NaN or infinite. */
  readonly bad: number;
  /** Its values. */
  readonly total: number;
  /** Where the model computes it; absent for a parameter. */
  readonly site?: string;
  /** The pass that it belongs to; absent for a parameter. */
  readonly phase?: string;
}

/**
 * Looks for the first bad tensor of a step: parameters by their order in the model, then what the step computes, in its order.
 *
 * @param batches The step's micro batches.
 * @returns Undefined when everything is finite this time.
 */
export async function findBadTensor(
  session: TrainingSession,
  batches: readonly Batch[],
): Promise<BadTensor | undefined> {
  const parameter = await findBadParameter(session);
  if (parameter) return parameter;
  const { plan: { model, microBatch, dtype }, layout, device, states } = session;
  const shape = { batch: microBatch, context: model.context };
  const { graph, tensors } = probeFinite(traceGradients(model, shape, layout, dtype));
  const program = await device.load(compileGraph(graph, device.capabilities, { name: "diagnosis" }), states);
  try {
    for (const batch of batches) {
      const found = await firstBad(program, tensors, batch);
      if (found) return found;
    }
  } finally {
    program.destroy();
  }
}

async function findBadParameter(session: TrainingSession): Promise<BadTensor | undefined> {
  const { params } = await session.snapshot();
  const inModelOrder = [...session.layout.parameters].sort((a, b) => blockOf(a) - blockOf(b));
  for (const { name, offset, size } of inModelOrder) {
    const bad = params.subarray(offset, offset + size).reduce(
      (sum, value) => sum + Number(!Number.isFinite(value)),
      0,
    );
    if (bad > 0) return { name, bad, total: size };
  }
}

/** Embeddings come first, then the blocks, then the last norm. */
function blockOf({ name }: Parameter): number {
  if (name.startsWith("ln_f.")) return Infinity;
  return Number(/^h\.(\d+)\./.exec(name)?.[1] ?? -1);
}

async function firstBad(
  program: LoadedProgram,
  tensors: readonly Node[],
  batch: Batch,
): Promise<BadTensor | undefined> {
  program.run({ batch: { ...batch } });
  const counts = await program.read("counts");
  const index = counts.findIndex((count) => !(count === 0));
  if (index < 0) return undefined;
  const { op, shape, origin: { scope, phase, site } } = tensors[index];
  return {
    name: scope === "" ? op : `${op} in ${scope}`,
    bad: Number(counts[index]),
    total: shape.reduce((product, size) => product * size, 1),
    ...site !== undefined && { site },
    phase,
  };
}

/** The finding as part of a sentence. */
export function badTensorText({ name, bad, total, site, phase }: BadTensor): string {
  const count = `${bad.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} values`;
  if (phase === undefined) return `the parameter ${name} is not finite (${count})`;
  return `the first tensor that is not finite is ${name} (${phase} pass, ${site ? `${site}, ` : ""}${count})`;
}
