/**
 * Opens what is behind HTTP on this machine: training jobs and generation, each in a Worker of its own, and the compiler's
 * programs.
 *
 * @module
 */
import { join } from "@std/path";
import { MAX_CONTEXT } from "../model/config.ts";
import { TrainerClient } from "../model/mod.ts";
import { GpuTurns, TURN_PARTIES } from "../runtime/turns.ts";
import type { OpenBackend } from "./backend.ts";
import { GenerationClient, type HostStatus } from "./generation/client.ts";
import { ProgramFiles } from "./programs/service.ts";
import { TrainingJobs } from "./training/service.ts";

/** The database of jobs, inside the folder of runs. */
const DATABASE = "server.sqlite";
/** Reports of compiled programs, inside the folder of runs; a name that no run can have. */
const PROGRAMS = ".programs";

/**
 * Opens everything. Jobs come first: their database is what a second server on the same folder is refused by.
 *
 * @throws {InputError} when the folder of runs cannot be used.
 */
export const openBackend: OpenBackend = async (options, listener) => {
  const { runs, maxSlots, maxWaiting, maxModels, cacheBytes, dtype, generationShare } = options;
  const shares: number[] = [];
  shares[TURN_PARTIES.training] = 1 - generationShare;
  shares[TURN_PARTIES.generation] = generationShare;
  const programs = join(runs, PROGRAMS);
  const turns = GpuTurns.create(shares);
  let isLeaving = false;
  /** A driver that is taken down while the process ends may crash it: the last trainer goes with the process. */
  class Trainer extends TrainerClient {
    override terminate(): void {
      if (!isLeaving) super.terminate();
    }
  }
  const training = await TrainingJobs.open({
    runs,
    database: join(runs, DATABASE),
    turns,
    programs,
    makeTrainer: (onEvent) => new Trainer(onEvent),
    onEvent: (event) => listener.onJobEvent(event),
    onProblem: (problem) => listener.onProblem(problem),
  });
  const generation = GenerationClient.open({
    runs,
    maxSlots,
    maxWaiting,
    maxModels,
    cacheBytes,
    dtype,
    turns,
    programs,
    maxPromptTokens: MAX_CONTEXT,
    onStatus: (status) => {
      listener.onUp(status.kind === "ready");
      if (status.kind === "lost") listener.onNote(`the GPU was lost and is opened again: ${status.message}`);
    },
  });
  return {
    services: { generation, training, programs: new ProgramFiles(programs) },
    adapter: generation.opened.then(adapterText),
    closeTraining: () => {
      isLeaving = true;
      return training.close();
    },
    closeGeneration: (timeoutMs) => generation.drain(timeoutMs),
  };
};

function adapterText(status: HostStatus): string {
  if (status.kind === "lost") return `none yet (${status.message})`;
  return status.software ? `${status.adapter} (runs on the processor)` : status.adapter;
}
