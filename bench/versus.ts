/**
 * Sinter beside its peers, case by case: our runs are spread before, between and after theirs, so that a machine whose
 * speed drifts drifts for everybody, and ratios are of medians within one case.
 *
 * @module
 */
import type { GpuDevice } from "../runtime/mod.ts";
import { STEP_CASES } from "./cases.ts";
import { compileStep } from "./compile_step.ts";
import { type Spread, spreadOf } from "./measure.ts";
import { flopsOf, Operation, type OperationCase, type Product } from "./operations.ts";
import { PEER_CASES, type PeerCase } from "./peers/cases.ts";
import { PEER_NAMES, type PeerName, type PeerResult } from "./peers/protocol.ts";
import { concerns, runPeers } from "./peers/run.ts";
import type { Rung } from "./rungs.ts";
import { TrainingRun } from "./training.ts";

/** Our side of a case. */
export interface OwnResult {
  readonly ms?: Spread;
  readonly gflops?: number;
  /** Bytes read and written as the compiler counts, in gigabytes a second. */
  readonly gbs?: number;
  readonly tokensPerSecond?: number;
  readonly dispatches?: number;
  readonly peakBytes?: number;
  readonly losses?: readonly number[];
  readonly error?: string;
}

/** One case with everybody's figures. */
export interface Comparison {
  readonly case: string;
  readonly kind: PeerCase["kind"];
  readonly own: OwnResult;
  readonly peers: readonly PeerResult[];
}

/** How to compare. */
export interface VersusOptions {
  readonly peers?: readonly PeerName[];
  /** Measurements of ours before, between and after the peers, each. */
  readonly rounds: number;
  /** Runs of a peer after its warm-up. */
  readonly repeats: number;
  /** The rung that training steps are compiled as. */
  readonly rung: Rung;
  readonly progress?: (line: string) => void;
}

/** Something of ours that can be timed. */
interface Contestant {
  time(): Promise<number>;
  describe(ms: Spread): OwnResult;
  destroy(): void;
}

/** Measures a case on ours and on every peer that does it. Never throws for either side: errors are results. */
export async function compare(
  device: GpuDevice,
  one: PeerCase | Product,
  { peers = PEER_NAMES, rounds, repeats, rung, progress = () => {} }: VersusOptions,
): Promise<Comparison> {
  progress(`${one.name}: sinter`);
  const times: number[] = [];
  const results: PeerResult[] = [];
  let own: OwnResult | undefined;
  let contestant: Contestant | undefined;
  const run = async () => {
    for (let round = 0; contestant && round < rounds; round++) times.push(await contestant.time());
  };
  try {
    contestant = await enter(device, one, rung);
    await run();
  } catch (error) {
    own = { error: error instanceof Error ? error.message : String(error) };
    contestant?.destroy();
    contestant = undefined;
  }
  const known = PEER_CASES.find(({ name }) => name === one.name);
  for (const peer of peers) {
    if (!known || !concerns(peer, known)) continue;
    progress(`${one.name}: ${peer}`);
    for await (const result of runPeers({ peers: [peer], cases: [one.name], repeats })) results.push(result);
    await run();
  }
  own ??= contestant!.describe(spreadOf(times));
  contestant?.destroy();
  return { case: one.name, kind: one.kind, own, peers: results };
}

/** How many times faster ours is than a peer; nothing where one of them has no sound figure. */
export function ratioTo({ own, peers }: Comparison, peer: PeerName): { ratio?: number; best?: number } {
  const theirs = peers.find((result) => result.peer === peer);
  if (!own.ms || own.error !== undefined || !theirs?.ms || theirs.error !== undefined) return {};
  return ratioOf(theirs.ms, own.ms);
}

/** How many times longer one takes than the other, by medians and by each one's best run. */
export function ratioOf(longer: Spread, shorter: Spread): { ratio: number; best: number } {
  return { ratio: longer.median / shorter.median, best: longer.min / shorter.min };
}

async function enter(device: GpuDevice, one: PeerCase | Product, rung: Rung): Promise<Contestant> {
  if (one.kind === "step") return await enterStep(device, one.name, rung);
  return await enterOperation(device, one);
}

async function enterOperation(device: GpuDevice, one: OperationCase | Product): Promise<Contestant> {
  const operation = await Operation.load(device, one);
  const { dispatches, bytesMoved } = operation;
  return {
    time: () => operation.time(),
    destroy: () => operation.destroy(),
    describe: (ms) => ({
      ms,
      ...(one.kind === "matmul" ? { gflops: flopsOf(one) / ms.median / 1e6 } : {}),
      gbs: bytesMoved / ms.median / 1e6,
      dispatches,
    }),
  };
}

async function enterStep(device: GpuDevice, name: string, rung: Rung): Promise<Contestant> {
  // There is one way to write a step here, which knows the limits.
  const known = name.replace(/-naive$/, "");
  const shape = STEP_CASES.find(({ peer }) => peer === known);
  if (!shape) throw new TypeError(`no training step is called ${name}`);
  const { program } = await compileStep(device, shape, rung);
  const run = await TrainingRun.load(device, shape, rung.recipe, program);
  const losses = [await run.loss(), await run.loss(), await run.loss()];
  const about = await run.time(Infinity);
  return {
    time: () => run.time(about),
    destroy: () => run.destroy(),
    describe: (ms) => ({
      ms,
      tokensPerSecond: shape.batch * shape.context / ms.median * 1e3,
      dispatches: program.dispatches.length,
      peakBytes: program.memory.peakBytes,
      losses,
    }),
  };
}
