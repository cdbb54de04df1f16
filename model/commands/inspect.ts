/**
 * `deno task inspect`: shows what the compiler makes of a program, follows its parts to kernels and back, compares, and checks. What is
 * looked at is chosen by `inspect/subject.ts`; each way of looking is a file of `inspect/`.
 *
 * @module
 */
import { type Compilation, compileStages, explain, reportOf, STAGES } from "../../compiler/mod.ts";
import { InputError } from "../errors.ts";
import { CHECK_FLAGS, CHECK_MICRO_BATCH, runChecks, wantsDevice } from "../inspect/check_command.ts";
import { diffReports, diffText, readReport } from "../inspect/diff.ts";
import { viewKernel, viewNode, viewSource } from "../inspect/explore.ts";
import { kernelViewText, nodeText, type Paint, paintFor, sourceText } from "../inspect/explore_text.ts";
import { measureLaunches } from "../inspect/launch_times.ts";
import { writeInspectorPage } from "../inspect/page.ts";
import { recordRewrites, rewritesText } from "../inspect/rewrites.ts";
import { fillValues, stepValues } from "../inspect/step_values.ts";
import { openSubject, type Subject, SUBJECT_FLAGS } from "../inspect/subject.ts";
import { explainBudget, parseMemory } from "../memory.ts";
import { MODE_NAMES, type ModeName } from "../run_options.ts";
import { openWeights } from "../weights.ts";
import { runCommand } from "./exit.ts";
import { type Flags, type FlagValues, helpText, MANY, parseFlags } from "./flags.ts";
import { userPath } from "./paths.ts";
import { megabytes } from "./text.ts";

const FLAGS = {
  ...SUBJECT_FLAGS,
  "stage": { kind: "choice", choices: STAGES, help: "What to print; groups unless told otherwise." },
  "node": {
    kind: "text",
    metavar: "N",
    help: "Follow a node of the simplified graph to its kernel and its readers.",
  },
  "kernel": {
    kind: "text",
    metavar: "NAME",
    help: "Show one kernel: nodes, reasons, buffers, Kernel IR and WGSL.",
  },
  "source": {
    kind: "text",
    metavar: "LINE",
    help: "Follow a line of the model, such as gpt2.ts:88, to its kernels.",
  },
  "diff": {
    kind: "text",
    metavar: "MODE|FILE",
    help: "Compare with another mode (fused, eager), or with a file that --json has written.",
  },
  "rewrites": { kind: "switch", help: "List every rewrite of the simplification, counts by rule first." },
  "rule": { kind: "text", metavar: "NAME", help: "With --rewrites: those of one rule." },
  "step": {
    kind: "whole",
    min: 1,
    max: MANY,
    help: "With --rewrites: one of them, with what was there before.",
  },
  "html": {
    kind: "text",
    metavar: "FILE",
    help: "Write a page that shows all of it, with times where an adapter is open.",
  },
  ...CHECK_FLAGS,
  "json": { kind: "switch", help: "Print JSON: all stages as one object, or what else was asked for." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;
type Values = FlagValues<typeof FLAGS>;

const ABOUT =
  "Shows what the compiler makes of a program: the traced graph, the joint forward and backward graph, the simplified\n" +
  "one, fusion groups with their reasons, kernels, WGSL, the memory plan, or what is recomputed; follows parts of it,\n" +
  "compares two of it, and runs its kernels against float64.";

/** A way of looking: its result as data, and as text. */
type View = (compilation: Compilation, subject: Subject, values: Values) => unknown;
interface Action {
  readonly view: View;
  // deno-lint-ignore no-explicit-any
  readonly text: (result: any, values: Values, paint: Paint) => string;
}

/** By the flag that asks for it. */
const ACTIONS: Readonly<Partial<Record<keyof Values, Action>>> = {
  node: {
    view: (compilation, _, { node }) => viewNode(compilation, node!),
    text: (view, _, paint) => nodeText(view, paint),
  },
  kernel: {
    view: (compilation, _, { kernel }) => viewKernel(compilation, kernel!),
    text: (view, _, paint) => kernelViewText(view, paint),
  },
  source: {
    view: (compilation, _, { source }) => viewSource(compilation, source!),
    text: (view, _, paint) => sourceText(view, paint),
  },
  diff: { view: diff, text: (difference) => diffText(difference) },
  rewrites: {
    view: (_, { graph, capabilities, options }) => recordRewrites(graph, capabilities, options),
    text: (rewrites, { rule, step }) => rewritesText(rewrites, { rule, step }),
  },
};

async function main(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText("deno task inspect [flags]", ABOUT, FLAGS));
    return 0;
  }
  const asked = (Object.keys(ACTIONS) as (keyof Values)[]).filter((name) => values[name] !== undefined);
  if (asked.length > 1) throw new InputError(`--${asked[1]}`, `given with --${asked[0]}`, "keep one");
  for (const name of ["rule", "step"] as const) {
    if (values[name] !== undefined && !values.rewrites) {
      throw new InputError(`--${name}`, "it is for --rewrites", "add --rewrites");
    }
  }
  if (wantsDevice(values)) return await check(values, args);
  const subject = await openSubject(values);
  const compilation = compile(subject, values);
  if (values.html !== undefined) return await writePage(compilation, subject, userPath(values.html));
  const action = ACTIONS[asked[0]];
  if (!action) {
    const { stage = "groups" } = values;
    print(values.json ? `${JSON.stringify(reportOf(compilation))}\n` : explain(compilation, stage));
    return 0;
  }
  const result = await action.view(compilation, subject, values);
  const paint = paintFor(Deno.stdout.isTerminal());
  print(values.json ? `${JSON.stringify(result)}\n` : action.text(result, values, paint));
  return 0;
}

function compile({ graph, capabilities, options }: Subject, values: Values, mode?: ModeName): Compilation {
  try {
    return compileStages(graph, capabilities, { ...options, ...mode && { mode } });
  } catch (problem) {
    const budget = values.memory === undefined
      ? undefined
      : { bytes: parseMemory(values.memory), isGiven: true };
    throw explainBudget(problem, budget, 0);
  }
}

async function diff(compilation: Compilation, subject: Subject, values: Values) {
  const other = values.diff!;
  const now = { ...reportOf(compilation), name: `${subject.name}, ${subject.options.mode}` };
  if (!(MODE_NAMES as readonly string[]).includes(other)) {
    return diffReports(await readReport(userPath(other)), now);
  }
  const before = {
    ...reportOf(compile(subject, values, other as ModeName)),
    name: `${subject.name}, ${other}`,
  };
  return diffReports(before, now);
}

async function writePage(compilation: Compilation, subject: Subject, path: string): Promise<number> {
  const { name, device, graph, plan, options: { mode = "fused" } } = subject;
  const times = device &&
    await measureLaunches(
      device,
      compilation,
      plan ? await stepValues(device, graph, plan) : fillValues(graph),
    );
  const target = device?.describe() ?? "no adapter: nothing was measured";
  const bytes = await writeInspectorPage(compilation, { name, target, mode, times }, path);
  print(`${path}: ${megabytes(bytes)}; open it in a browser\n`);
  return 0;
}

async function check(values: Values, args: readonly string[]): Promise<number> {
  const subject = await openSubject(values, { microBatch: CHECK_MICRO_BATCH });
  const { device, graph, options, plan } = subject;
  if (!device) {
    throw new InputError(
      "--target",
      "kernels run on an adapter, and none is open",
      "leave out --target, or install a driver",
    );
  }
  const { checkpoint } = values;
  const weights = checkpoint === undefined ? undefined : await openWeights(userPath(checkpoint));
  const command = `deno task inspect ${args.filter((arg) => arg !== "--watch").join(" ")}`;
  const known = async () => plan ? await stepValues(device, graph, plan, { weights }) : fillValues(graph);
  return await runChecks({ device, graph, options, values: known, command }, values, print);
}

/** Writes all of a long text, also into a pipe that is slow. */
function print(text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

if (import.meta.main) await runCommand(() => main(Deno.args));
