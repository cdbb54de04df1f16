/**
 * A training step of a GPT-2 so small that the reference needs no time for it, and its kernels broken on purpose.
 *
 * @module
 */
import { type Capabilities, type Compilation, compileStages, type Mode } from "../../../compiler/mod.ts";
import { fillValues, type StepValues, stepValues } from "../../../model/inspect/step_values.ts";
import { replaceKernel } from "../../../model/inspect/replace_kernel.ts";
import { layoutParameters } from "../../../model/params.ts";
import { traceTrainStep } from "../../../model/programs.ts";
import { planRun, type RunPlan } from "../../../model/run_options.ts";
import { type GpuDevice, openDevice } from "../../../runtime/mod.ts";

/** One block on two sequences. */
export const TINY: RunPlan = planRun(
  { out: "", preset: "nano", layers: 1, width: 32, heads: 2, context: 16, microBatch: 2, seed: 5 },
  true,
);

/** Its training step. */
export function tinyStep({ model, microBatch, dtype }: RunPlan = TINY) {
  return traceTrainStep(model, { batch: microBatch, context: model.context }, layoutParameters(model), dtype);
}

/** The step, compiled. */
export function compileTiny(
  capabilities: Capabilities,
  mode: Mode = "fused",
  plan: RunPlan = TINY,
): Compilation {
  return compileStages(tinyStep(plan), capabilities, { mode, name: "step" });
}

/** What a step reads, without the cost of tokenizing a book. */
export async function tinyValues(device: GpuDevice, plan: RunPlan = TINY): Promise<StepValues> {
  const { model: { context, vocabulary }, microBatch } = plan;
  const tokens = Int32Array.from({ length: microBatch * context }, (_, i) => i * 7919 % vocabulary);
  const targets = tokens.map((token) => (token * 31 + 7) % vocabulary);
  const graph = tinyStep(plan);
  const known = await stepValues(device, { ...graph, nodes: graph.nodes.filter(isNoToken) }, plan);
  return fillValues(graph, { ...known.states, ...known.scalars, tokens, targets });
}

function isNoToken({ attrs }: { readonly attrs: { readonly name?: unknown } }): boolean {
  return attrs.name !== "tokens" && attrs.name !== "targets";
}

/**
 * The compilation with one kernel's text changed.
 *
 * @param name Beginning of the kernel's name.
 */
export function breakKernel(
  compilation: Compilation,
  name: string,
  change: (wgsl: string) => string,
): { readonly broken: Compilation; readonly kernel: string } {
  const index = compilation.program.kernels.findIndex((kernel) => kernel.name.startsWith(name));
  const kernel = compilation.program.kernels[index];
  if (!kernel) throw new Error(`no kernel ${name}`);
  const wgsl = change(kernel.wgsl);
  if (wgsl === kernel.wgsl) throw new Error(`nothing of ${kernel.name} was changed`);
  return { broken: replaceKernel(compilation, index, { wgsl }), kernel: kernel.name };
}

/** A test with a device of its own. */
export function deviceTest(name: string, body: (device: GpuDevice) => Promise<void>): void {
  Deno.test(name, async () => {
    const device = await openDevice();
    try {
      await body(device);
    } finally {
      device.destroy();
    }
  });
}
