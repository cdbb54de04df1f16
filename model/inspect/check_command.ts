/**
 * The part of `deno task inspect` that runs things: `--check`, `--bisect`, `--dump` and `--edit`.
 *
 * @module
 */
import { type Compilation, type CompileOptions, compileStages, type Graph } from "../../compiler/mod.ts";
import type { GpuDevice } from "../../runtime/mod.ts";
import { FAILED } from "../commands/exit.ts";
import type { Flags, FlagValues } from "../commands/flags.ts";
import { userPath } from "../commands/paths.ts";
import { InputError } from "../errors.ts";
import { MODE_NAMES, type ModeName } from "../run_options.ts";
import { bisect, runSide } from "./bisect.ts";
import { checkProgram, isWrong } from "./check.ts";
import { bisectionText, checkText, editText } from "./check_text.ts";
import { readDump, writeDump } from "./dump.ts";
import { editKernel, type EditOutcome } from "./edit.ts";
import { findKernel } from "./replace_kernel.ts";
import { openOn, type StepValues } from "./step_values.ts";

/** Flags of the part of the command that runs kernels. */
export const CHECK_FLAGS = {
  "check": {
    kind: "switch",
    help: "Run every kernel on a step's real inputs and list its errors against float64, the largest first.",
  },
  "bisect": {
    kind: "text",
    metavar: "MODE|FILE",
    help:
      "Find the first kernel that differs from another mode's (fused, eager) or from values in a file of --dump.",
  },
  "dump": {
    kind: "text",
    metavar: "FILE",
    help: "Write the values of a step to a file, to compare another adapter's with by --bisect FILE.",
  },
  "edit": {
    kind: "text",
    metavar: "KERNEL",
    help: "Write a kernel to KERNEL.wgsl; once changed, check and time that against the generated one.",
  },
  "watch": { kind: "switch", help: "With --edit: do it again whenever the file is saved." },
  "limit": {
    kind: "number",
    min: 0,
    open: true,
    max: 86_400,
    help: "Seconds that float64 may take for one kernel; 0.5 by default. Of slower ones parts are compared.",
  },
  "checkpoint": {
    kind: "text",
    metavar: "DIR",
    help: "With --check and its like: take trained weights, of a run or in Hugging Face's form.",
  },
} as const satisfies Flags;

/** Sequences that a check takes unless told otherwise: the reference is slow, and errors do not need many. */
export const CHECK_MICRO_BATCH = 2;

/** What is checked. */
export interface CheckSubject {
  /** Where it runs. */
  readonly device: GpuDevice;
  /** The program, as it was traced. */
  readonly graph: Graph;
  /** How it is compiled. */
  readonly options: CompileOptions;
  /** A value for every input; asked for only where no file gives them. */
  readonly values: () => Promise<StepValues>;
  /** The command line without `--watch`, for the head of kernel files. */
  readonly command: string;
}

type Values = FlagValues<typeof CHECK_FLAGS>;

/** True when a flag asks for something to be run. */
export function wantsDevice({ check, bisect, dump, edit }: Values): boolean {
  return check === true || bisect !== undefined || dump !== undefined || edit !== undefined;
}

/**
 * Does what the flags ask for and prints it.
 *
 * @param print Takes the result, as text or, with `json`, as one object on a line.
 * @returns The exit code: 1 when a kernel is wrong or modes differ.
 * @throws {InputError} when a flag cannot be followed.
 */
export async function runChecks(
  subject: CheckSubject,
  flags: Values & { readonly json?: true },
  print: (text: string) => void,
): Promise<number> {
  const asked = (["check", "bisect", "dump", "edit"] as const).filter((name) => flags[name] !== undefined);
  if (asked.length > 1) throw new InputError(`--${asked[1]}`, `given with --${asked[0]}`, "keep one");
  if (flags.watch && flags.edit === undefined) {
    throw new InputError("--watch", "there is no kernel file to watch", "give it with --edit KERNEL");
  }
  const show = <T>(result: T, text: (result: T) => string) =>
    print(`${flags.json ? JSON.stringify(result, finite) : text(result)}\n`);
  if (flags.bisect !== undefined) return await runBisection(subject, flags.bisect, show);
  const compilation = compile(subject);
  const values = await subject.values();
  if (flags.dump !== undefined) return await dump(subject, compilation, values, userPath(flags.dump), print);
  if (flags.edit !== undefined) {
    return await edit(subject, compilation, values, { ...flags, edit: flags.edit }, show);
  }
  using opened = await openOn(subject.device, compilation, values);
  const onProgress = progressOn(Deno.stderr);
  const report = await checkProgram(opened.loaded, compilation, values, { limit: flags.limit, onProgress });
  show(report, checkText);
  return report.kernels.some(isWrong) ? FAILED : 0;
}

/** Between two changes of a line of progress, in milliseconds. */
const PROGRESS_MS = 200;

/** Counts kernels on a terminal, on one line that is gone at the end. */
function progressOn(stream: typeof Deno.stderr): ((done: number, of: number) => void) | undefined {
  if (!stream.isTerminal()) return undefined;
  let shown = 0;
  const write = (text: string) => stream.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  return (done, of) => {
    if (done === of) write("");
    else if (performance.now() - shown > PROGRESS_MS) {
      shown = performance.now();
      write(`kernel ${done} of ${of}`);
    }
  };
}

type Show = <T>(result: T, text: (result: T) => string) => void;

/** JSON has no infinities. */
function finite(_: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? `${value}` : value;
}

function compile({ graph, device, options }: CheckSubject, mode = options.mode): Compilation {
  return compileStages(graph, device.capabilities, { ...options, mode });
}

async function runBisection(subject: CheckSubject, other: string, show: Show): Promise<number> {
  const { device, graph, options } = subject;
  const mode = options.mode ?? "fused";
  const isMode = (MODE_NAMES as readonly string[]).includes(other);
  if (other === mode) {
    const rest = MODE_NAMES.filter((name) => name !== mode);
    throw new InputError(
      `--bisect ${other}`,
      "that is the mode itself",
      `compare it with ${rest.join(", ")}`,
    );
  }
  const dumped = isMode ? undefined : await readDump(userPath(other), graph);
  const values = dumped?.values ?? await subject.values();
  const label = dumped ? `${mode} on ${device.info.description}` : mode;
  const mine = await runSide(device, label, compile(subject), values);
  const theirs = dumped?.side ?? await runSide(device, other, compile(subject, other as ModeName), values);
  const found = await bisect(device, mine, theirs, values);
  show(found, bisectionText);
  return found.first || found.compared === 0 ? FAILED : 0;
}

async function dump(
  { device, options }: CheckSubject,
  compilation: Compilation,
  values: StepValues,
  path: string,
  print: (text: string) => void,
): Promise<number> {
  const label = `${options.mode ?? "fused"} on ${device.info.description}`;
  const side = await runSide(device, label, compilation, values);
  await writeDump(path, { program: compilation.program.name, side, values });
  print(`${side.values.size} values of ${compilation.program.name}, ${label}, are in ${path}\n`);
  return 0;
}

async function edit(
  { device, command }: CheckSubject,
  compilation: Compilation,
  values: StepValues,
  flags: Values & { readonly edit: string },
  show: Show,
): Promise<number> {
  const index = findKernel(compilation, flags.edit, "--edit");
  const path = userPath(`${compilation.program.kernels[index].name}.wgsl`);
  const run = async (): Promise<EditOutcome> => {
    const outcome = await editKernel(device, compilation, index, path, values, {
      command,
      limit: flags.limit,
    });
    show(outcome, editText);
    return outcome;
  };
  if (!flags.watch) return hasFailed(await run()) ? FAILED : 0;
  const goOn = (problem: unknown) => {
    if (!(problem instanceof InputError)) throw problem;
    console.error(`error: ${problem.message}`);
  };
  await run().catch(goOn);
  for await (const _ of savesOf(path)) await run().catch(goOn);
  return 0;
}

function hasFailed(outcome: EditOutcome): boolean {
  return outcome.kind === "refused" || (outcome.kind === "tried" && outcome.trial.byHand.some(isWrong));
}

/** Editors write a file in several steps: so long after the last of them it counts as saved, in milliseconds. */
const SETTLED_MS = 100;

/** Once for each time that a file gets other contents. Ends when the process does. */
async function* savesOf(path: string): AsyncGenerator<void> {
  let known = await Deno.readTextFile(path);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    const text = await Deno.readTextFile(path).catch(() => known);
    if (text === known) continue;
    known = text;
    yield;
  }
}
