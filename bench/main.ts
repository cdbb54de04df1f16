/**
 * `deno task bench`: what the adapter can do at best, the ladder from one kernel for each op to everything at once, the
 * kernels of its top, and other libraries on the same work; all in one run, with medians and spread.
 *
 * @module
 */
import { FAILED, runCommand } from "../model/commands/exit.ts";
import { helpText } from "../model/commands/flags.ts";
import { ensureAdapter, type GpuDevice, openDevice } from "../runtime/mod.ts";
import { caseNamed, parametersOf, type StepCase } from "./cases.ts";
import { bestOf, type Ceilings, measureCeilings } from "./ceilings.ts";
import { type KernelTable, profileKernels } from "./kernels.ts";
import { decodeTable, measureDecode } from "./decode.ts";
import { climbLadder, disagreement, type RungResult } from "./ladder.ts";
import { GPU_PRODUCTS } from "./operations.ts";
import { type BenchOptions, caseList, FLAGS, parseOptions } from "./options.ts";
import { PEER_CASES } from "./peers/cases.ts";
import { drawLadders } from "./picture.ts";
import { type Ladder, type Report, slugOf, writeWhole } from "./report.ts";
import { type Rung, RUNGS, TOP } from "./rungs.ts";
import { describeRatio, ratiosOf } from "./targets.ts";
import { ceilingLines, comparisonTable, kernelTable, ladderTable } from "./text.ts";
import { benchServer } from "./server/main.ts";
import { compare, type Comparison } from "./versus.ts";

const USAGE = "deno task bench [flags]";
const ABOUT =
  `Measures this machine's adapter and Sinter on it: the adapter's ceilings, the ladder of a training step from one
kernel for each operation to everything at once, its kernels, single operations and whole steps beside other
libraries. 10 to 15 minutes on a software adapter. Cases: ${caseList()}.`;

/** Loaded rungs may hold this share of a software adapter's memory, which is the machine's. */
const KEEP_SHARE = 0.4;
/** Bytes that loaded rungs may hold on a GPU whose memory nobody has stated. */
const KEEP_ON_GPU = 4 * 2 ** 30;
/** Rungs from this one on are climbed with a vocabulary of GPT-2's size on a software adapter: below it a step takes a minute. */
const LARGE_VOCABULARY_FROM = "attention";

/** The quickest of the steps that are written without a thought of binding limits. */
const NAIVE_STEP = "step-4x128-v50304-naive";

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "server") return await benchServer(args.slice(1));
  const options = parseOptions(args);
  if (!options) {
    console.log(helpText(USAGE, ABOUT, FLAGS));
    return 0;
  }
  await ensureAdapter();
  const device = await openDevice();
  try {
    const base = `runs/bench/${slugOf(device.info)}`;
    const { json = `${base}.json`, svg = `${base}.svg` } = options;
    const report = await new Bench(device, options).run((found) => keep(found, json, svg));
    console.log(`\nfigures: ${json}`);
    if (report.ladders.length > 0) console.log(`picture: ${svg}`);
    const ratios = report.ratios.filter(({ target }) => target !== undefined);
    if (ratios.length > 0) {
      const reached = ratios.filter(({ ratio, target }) => ratio !== undefined && ratio >= target!).length;
      console.log(`targets: ${reached} of ${ratios.length} reached, in ${report.seconds.toFixed(0)} s`);
    }
    return report.ladders.some(({ rungs }) => disagreement(rungs)) ? FAILED : 0;
  } finally {
    device.destroy();
  }
}

/** Writes what there is: once before the peers, who take longest and may take the machine down, and once at the end. */
async function keep(report: Report, json: string, svg: string): Promise<void> {
  await writeWhole(json, `${JSON.stringify(report, null, 1)}\n`);
  if (report.ladders.length === 0) return;
  const { adapter, deno, date } = report;
  const where = `${adapter.description}, Deno ${deno}, ${date.slice(0, 10)}`;
  await writeWhole(svg, drawLadders(report.ladders, where));
}

/** One run of the benchmark. */
class Bench {
  readonly #device: GpuDevice;
  readonly #options: BenchOptions;
  readonly #started = performance.now();
  readonly #date = new Date().toISOString();

  constructor(device: GpuDevice, options: BenchOptions) {
    this.#device = device;
    this.#options = options;
  }

  /** @param save Takes the report before the peers are run, and again when it is whole. */
  async run(save: (report: Report) => Promise<void>): Promise<Report> {
    const { parts, quick } = this.#options;
    console.log(this.#device.describe());
    this.#progress("ceilings");
    let ceilings = await this.#ceilings();
    const ladders: Ladder[] = [];
    if (parts.has("ladder")) {
      for (const { shape, rungs } of this.#ladderCases()) ladders.push(await this.#ladder(shape, rungs));
    }
    // A second time, for a machine that was busy the first time: a ceiling is the best that was seen.
    ceilings = bestOf(ceilings, await this.#ceilings());
    const kernels: KernelTable[] = [];
    if (parts.has("kernels")) {
      for (const shape of this.#kernelCases()) kernels.push(...await this.#kernels(shape, ceilings));
    }
    console.log(`\nceilings\n${ceilingLines(ceilings)}`);
    for (const ladder of ladders) {
      const { case: name, tokens, parameters } = ladder;
      const size = `${(parameters / 1e6).toFixed(1)} M parameters, ${
        tokens.toLocaleString("en")
      } tokens a step`;
      console.log(`\nladder ${name}: ${size}\n${ladderTable(ladder, ceilings)}`);
      console.log(disagreement(ladder.rungs) ?? "losses: every rung agrees");
    }
    for (const one of kernels) console.log(`\nkernels of ${one.case}\n${kernelTable(one, ceilings)}`);
    const decode = parts.has("decode")
      ? await measureDecode(this.#device, {
        quick,
        rounds: this.#options.rounds,
        progress: (line) => this.#progress(line),
      })
      : [];
    for (const table of decode) console.log(`\ngeneration: ${decodeTable(table)}`);
    const measured = { ceilings, ladders, kernels, decode };
    await save(this.#report({ ...measured, comparisons: [], fused: [], ratios: [] }));
    const fused = parts.has("steps") && !quick ? await this.#fused() : [];
    const comparisons = await this.#comparisons();
    if (comparisons.length > 0) console.log(`\nside by side\n${comparisonTable(comparisons)}`);
    const ratios = ratiosOf(comparisons, fused);
    if (ratios.length > 0) console.log(`\nratios\n${ratios.map(describeRatio).join("\n")}`);
    const report = this.#report({ ...measured, comparisons, fused, ratios });
    await save(report);
    return report;
  }

  #report(
    found: Pick<Report, "ceilings" | "ladders" | "kernels" | "decode" | "comparisons" | "fused" | "ratios">,
  ): Report {
    const { info, capabilities } = this.#device;
    const { quick, rounds } = this.#options;
    return {
      date: this.#date,
      deno: Deno.version.deno,
      cores: navigator.hardwareConcurrency,
      adapter: info,
      capabilities,
      quick,
      rounds,
      ...found,
      seconds: (performance.now() - this.#started) / 1e3,
    };
  }

  #ceilings(): Promise<Ceilings> {
    return measureCeilings(this.#device, { repeats: this.#options.quick ? 2 : 4 });
  }

  /** The case that was asked for, or those that suit the adapter. */
  #ladderCases(): { shape: StepCase; rungs: readonly Rung[] }[] {
    const { shape, quick } = this.#options;
    if (shape) return [{ shape, rungs: RUNGS }];
    if (!this.#device.info.software) return [{ shape: caseNamed("gpt2-16x1024")!, rungs: RUNGS }];
    const whole = { shape: caseNamed("4x128")!, rungs: RUNGS };
    const upper = RUNGS.slice(RUNGS.findIndex(({ name }) => name === LARGE_VOCABULARY_FROM));
    return quick ? [whole] : [whole, { shape: caseNamed("4x128-v50257")!, rungs: upper }];
  }

  #kernelCases(): StepCase[] {
    const { shape, quick } = this.#options;
    if (shape) return [shape];
    if (!this.#device.info.software) return [caseNamed("gpt2-4x1024")!];
    return (quick ? ["4x128"] : ["4x128", "gpt2"]).map((name) => caseNamed(name)!);
  }

  async #ladder(shape: StepCase, rungs: readonly Rung[]): Promise<Ladder> {
    const { rounds } = this.#options;
    const results = await climbLadder(this.#device, shape, { rungs, rounds, ...this.#room() });
    return {
      case: shape.name,
      tokens: shape.batch * shape.context,
      parameters: parametersOf(shape),
      rungs: results,
    };
  }

  async #kernels(shape: StepCase, ceilings: Ceilings): Promise<KernelTable[]> {
    if (!this.#device.info.timestamps) {
      console.log("\nkernels: this adapter has no timestamps");
      return [];
    }
    this.#progress(`${shape.name}: kernels`);
    return [await profileKernels(this.#device, shape, TOP, ceilings, this.#options.rounds)];
  }

  /** The middle case from bottom to top: how much all of it is worth where there is more to compute. */
  async #fused(): Promise<RungResult[]> {
    if (!this.#device.info.software || this.#options.shape) return [];
    return await climbLadder(this.#device, caseNamed("6x384")!, {
      rungs: [RUNGS[0], TOP],
      rounds: 2,
      lossSteps: 2,
      ...this.#room(),
    });
  }

  async #comparisons(): Promise<Comparison[]> {
    const { quick, parts, peers, rounds, shape } = this.#options;
    const wanted = PEER_CASES.filter((one) => {
      if (one.kind === "step") {
        // One step as a user would write it is enough to show what then goes wrong.
        if (!parts.has("steps") || (one.naive && (!peers || one.name !== NAIVE_STEP))) return false;
        if (shape) return one.name === shape.peer;
        return !quick || one.name === "step-4x128-v256";
      }
      if (one.kind !== "matmul") return parts.has("operations") && !quick;
      return parts.has("matmul") && (!quick || one.rows + one.depth + one.cols > 4000);
    });
    const products = parts.has("matmul") && !this.#device.info.software ? GPU_PRODUCTS : [];
    const comparisons: Comparison[] = [];
    for (const one of [...wanted, ...products]) {
      const large = one.kind === "step" && one.name !== "step-4x128-v256";
      comparisons.push(
        await compare(this.#device, one, {
          peers: peers ? undefined : [],
          rounds: peers ? Math.ceil(rounds / 3) : rounds,
          repeats: quick || (one.kind === "step" && one.naive) ? 1 : large ? 2 : 3,
          rung: TOP,
          progress: (line) => this.#progress(line),
        }),
      );
    }
    return comparisons;
  }

  #room() {
    const { budgetBytes } = this.#options;
    const { software } = this.#device.info;
    const all = budgetBytes ?? (software ? Deno.systemMemoryInfo().available : undefined);
    return {
      budgetBytes: all,
      keepBytes: all === undefined ? KEEP_ON_GPU : all * KEEP_SHARE,
      progress: (line: string) => this.#progress(line),
    };
  }

  /** On standard error, so that standard output holds the tables alone. */
  #progress(line: string): void {
    const seconds = (performance.now() - this.#started) / 1e3;
    console.error(`${seconds.toFixed(0).padStart(5)} s  ${line}`);
  }
}

if (import.meta.main) await runCommand(() => main(Deno.args));
