/**
 * `deno task inspect`: prints a stage of the compilation of a training or sampling program as text. Nothing runs; an
 * adapter is opened only to learn its limits, and is not needed.
 *
 * @module
 */
import {
  BASELINE,
  type Capabilities,
  compileStages,
  explain,
  type Graph,
  LAVAPIPE,
  reportOf,
  type ScheduleLookup,
  STAGES,
} from "../../compiler/mod.ts";
import { ensureAdapter, openDevice, TuningCache } from "../../runtime/mod.ts";
import { TOKENIZERS } from "../../data/mod.ts";
import { PRESET_NAMES } from "../config.ts";
import { layoutParameters } from "../params.ts";
import { explainBudget, parseMemory } from "../memory.ts";
import { traceDecode, tracePrefill } from "../decode_programs.ts";
import { NO_FEATURES, traceDraw } from "../draw_program.ts";
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
import { runCommand } from "./exit.ts";
import { type Flags, helpText, MANY, parseFlags } from "./flags.ts";

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

const FLAGS = {
  "preset": { kind: "choice", choices: PRESET_NAMES, help: "Model; nano unless told otherwise." },
  "stage": {
    kind: "choice",
    choices: STAGES,
    help: "What to print; groups unless told otherwise.",
  },
  "program": {
    kind: "choice",
    choices: PROGRAM_NAMES,
    help: "Which program; step (forward, backward, clip, AdamW) unless told otherwise.",
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
  "json": {
    kind: "switch",
    help: "Print all stages as one JSON object: groups, kernels, launches, buffers.",
  },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

async function main(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(
      "deno task inspect [flags]",
      "Prints what the compiler makes of a GPT-2 program: the traced graph, the joint forward and backward graph,\n" +
        "fusion groups with their reasons, kernels, WGSL, the memory plan, or what is recomputed.",
      FLAGS,
    ));
    return 0;
  }
  const { preset = "nano", stage = "groups", program = "step", mode = "fused" } = values;
  const request = { ...values, preset, microBatch: values["micro-batch"], out: "" };
  const memoryBytes = values.memory === undefined ? undefined : parseMemory(values.memory);
  planRun(request, true); // wrong sizes are refused before a device is opened
  const { capabilities, measured } = await targetFor(values.target ?? "adapter");
  const plan = planRun(request, capabilities.software);
  const name = `${preset}_${program}`;
  const schedules = mode === "fused" ? measured : undefined;
  const options = { mode, name, schedules, memoryBytes };
  try {
    const compilation = compileStages(traceProgram(program, plan), capabilities, options);
    print(values.json ? `${JSON.stringify(reportOf(compilation))}\n` : explain(compilation, stage));
  } catch (problem) {
    throw explainBudget(
      problem,
      memoryBytes === undefined ? undefined : { bytes: memoryBytes, isGiven: true },
      0,
    );
  }
  return 0;
}

function traceProgram(program: ProgramName, { model, microBatch, dtype }: RunPlan) {
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

/** What to compile for, and the schedules that were measured there: what a run would get. */
interface Target {
  readonly capabilities: Capabilities;
  readonly measured?: ScheduleLookup;
}

async function targetFor(name: "adapter" | "lavapipe" | "baseline"): Promise<Target> {
  if (name === "lavapipe") return { capabilities: LAVAPIPE };
  if (name === "baseline") return { capabilities: BASELINE };
  try {
    await ensureAdapter();
    const device = await openDevice();
    console.error(`compiled for ${device.describe()}`);
    const { capabilities } = device;
    return { capabilities, measured: (await TuningCache.open(device)).lookup };
  } catch {
    console.error("no adapter opens here: compiled for WebGPU's guaranteed minimum");
    return { capabilities: BASELINE };
  }
}

/** Writes all of a long text, also into a pipe that is slow. */
function print(text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

if (import.meta.main) await runCommand(() => main(Deno.args));
