/**
 * What `deno task inspect` looks at: one of GPT-2's programs, by the sizes of a preset, or a graph of the user's own file; and for which
 * adapter it is compiled.
 *
 * @module
 */
import {
  BASELINE,
  type Capabilities,
  type CompileOptions,
  type Graph,
  LAVAPIPE,
} from "../../compiler/mod.ts";
import { TOKENIZERS } from "../../data/mod.ts";
import { ensureAdapter, type GpuDevice, openDevice, TuningCache } from "../../runtime/mod.ts";
import { type Flags, type FlagValues, MANY } from "../commands/flags.ts";
import { userPath } from "../commands/paths.ts";
import { PRESET_NAMES } from "../config.ts";
import { traceDecode, tracePrefill } from "../decode_programs.ts";
import { NO_FEATURES, traceDraw } from "../draw_program.ts";
import { InputError } from "../errors.ts";
import { parseMemory } from "../memory.ts";
import { layoutParameters } from "../params.ts";
import { PRECISIONS } from "../precision.ts";
import {
  traceApplyStep,
  traceInit,
  traceLoss,
  traceMicroStep,
  traceSample,
  traceTrainStep,
} from "../programs.ts";
import { MODE_NAMES, planRun, type RunPlan } from "../run_options.ts";
import { loadUserGraph } from "./user_file.ts";

const size = (help: string) => ({ kind: "whole", min: 1, max: MANY, help }) as const;

const PROGRAM_NAMES = [
  "step",
  "loss",
  "micro",
  "apply",
  "init",
  "sample",
  "prefill",
  "decode",
  "draw",
] as const;
type ProgramName = (typeof PROGRAM_NAMES)[number];

/** Flags that choose what is looked at. */
export const SUBJECT_FLAGS = {
  "preset": { kind: "choice", choices: PRESET_NAMES, help: "Model; nano unless told otherwise." },
  "program": {
    kind: "choice",
    choices: PROGRAM_NAMES,
    help: "Which program; step (forward, backward, clip, AdamW) unless told otherwise.",
  },
  "file": { kind: "text", metavar: "FILE", help: "A TypeScript file of your own in place of GPT-2." },
  "export": {
    kind: "text",
    metavar: "NAME",
    help: "What it exports: a traced graph, or a function that gives one; default unless told otherwise.",
  },
  "target": {
    kind: "choice",
    choices: ["adapter", "lavapipe", "baseline"],
    help: "What to compile for; this machine's adapter unless told otherwise.",
  },
  "layers": size("Transformer blocks, in place of the preset's."),
  "width": size("Channels, in place of the preset's."),
  "heads": size("Attention heads; they divide the width."),
  "context": size("Tokens that the model looks at; at most 1024."),
  "micro-batch": size("Sequences that pass through the model at once."),
  "tokenizer": {
    kind: "choice",
    choices: TOKENIZERS,
    help: "Sets the vocabulary: bytes 256, gpt2 50257.",
  },
  "dtype": { kind: "choice", choices: PRECISIONS, help: "What matrix products read and write." },
  "memory": {
    kind: "text",
    metavar: "SIZE",
    help: "Most memory that the program may hold, such as 4GB.",
  },
  "mode": { kind: "choice", choices: MODE_NAMES, help: "Fused kernels, or one kernel for each operation." },
} as const satisfies Flags;

/** Flags of a model's sizes: a file has sizes of its own. */
const SIZE_FLAGS = [
  "preset",
  "program",
  "layers",
  "width",
  "heads",
  "context",
  "micro-batch",
  "tokenizer",
  "dtype",
] as const;

/** What is looked at. */
export interface Subject {
  /** Name of the program. */
  readonly name: string;
  /** As it was traced. */
  readonly graph: Graph;
  readonly capabilities: Capabilities;
  readonly options: CompileOptions;
  /** The run that the program is of; absent for a file of the user's own. */
  readonly plan?: RunPlan;
  /** Absent where no adapter opens, or none is to be. */
  readonly device?: GpuDevice;
}

/**
 * Traces what the flags name and finds what it is compiled for.
 *
 * @param defaults In place of the preset's numbers, where no flag gives one.
 * @throws {InputError} when it cannot be traced.
 */
export async function openSubject(
  values: FlagValues<typeof SUBJECT_FLAGS>,
  defaults: { readonly microBatch?: number } = {},
): Promise<Subject> {
  const { mode = "fused" } = values;
  const memoryBytes = values.memory === undefined ? undefined : parseMemory(values.memory);
  if (values.export !== undefined && values.file === undefined) {
    throw new InputError(`--export ${values.export}`, "no file is named", "add --file FILE");
  }
  if (values.file !== undefined) {
    const given = SIZE_FLAGS.find((name) => values[name] !== undefined);
    if (given) throw new InputError(`--${given}`, "a file has sizes of its own", "leave it out");
    const { graph, name } = await loadUserGraph(userPath(values.file), values.export ?? "default");
    const { capabilities, device } = await openTarget(values.target);
    return { name, graph, capabilities, options: { mode, name, memoryBytes }, device };
  }
  const { preset = "nano", program = "step" } = values;
  const request = { ...values, preset, microBatch: values["micro-batch"] ?? defaults.microBatch, out: "" };
  planRun(request, true); // wrong sizes are refused before a device is opened
  const { capabilities, measured, device } = await openTarget(values.target);
  const plan = planRun(request, capabilities.software);
  const name = `${preset}_${program}`;
  const schedules = mode === "fused" ? measured : undefined;
  return {
    name,
    graph: traceProgram(program, plan),
    capabilities,
    options: { mode, name, schedules, memoryBytes },
    plan,
    device,
  };
}

function traceProgram(program: ProgramName, { model, microBatch, dtype }: RunPlan): Graph {
  const shape = { batch: microBatch, context: model.context };
  const layout = layoutParameters(model);
  const makers: Record<ProgramName, () => Graph> = {
    step: () => traceTrainStep(model, shape, layout, dtype),
    loss: () => traceLoss(model, shape, layout, dtype),
    micro: () => traceMicroStep(model, shape, layout, dtype),
    apply: () => traceApplyStep(model, layout, dtype),
    init: () => traceInit(model, layout, dtype),
    sample: () => traceSample(model, { history: 2 * model.context, window: model.context }),
    prefill: () => tracePrefill(model, { slots: microBatch, dtype, tokens: Math.min(64, model.context) }),
    decode: () => traceDecode(model, { slots: microBatch, dtype, sequences: microBatch }),
    draw: () =>
      traceDraw(model, { slots: microBatch, sequences: microBatch }, { ...NO_FEATURES, topK: true }),
  };
  return makers[program]();
}

type Target = Pick<Subject, "capabilities" | "device"> & { readonly measured?: CompileOptions["schedules"] };

/** What to compile for, and the schedules that were measured there: what a run would get. */
async function openTarget(name: "adapter" | "lavapipe" | "baseline" = "adapter"): Promise<Target> {
  if (name === "lavapipe") return { capabilities: LAVAPIPE };
  if (name === "baseline") return { capabilities: BASELINE };
  try {
    await ensureAdapter();
    const device = await openDevice();
    console.error(`compiled for ${device.describe()}`);
    return { capabilities: device.capabilities, measured: (await TuningCache.open(device)).lookup, device };
  } catch {
    console.error("no adapter opens here: compiled for WebGPU's guaranteed minimum");
    return { capabilities: BASELINE };
  }
}
