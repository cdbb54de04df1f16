/**
 * A program that was compiled for no device in particular, as the server reports it: real kernels for the program viewer.
 *
 * @module
 */
import { compileStages, LAVAPIPE, type ProgramReport, reportOf } from "../../../compiler/mod.ts";
import { layoutParameters } from "../../../model/params.ts";
import { traceTrainStep } from "../../../model/programs.ts";
import { planRun } from "../../../model/run_options.ts";
import type { ProgramService, ProgramSummary } from "../../../server/services.ts";
import { gzipped } from "../fake_programs.ts";

/** One program: a training step. */
export class CompiledPrograms implements ProgramService {
  readonly #report: ProgramReport;
  readonly #summary: ProgramSummary;

  constructor() {
    const { model, microBatch } = planRun({ preset: "nano", out: "" }, true);
    const shape = { batch: microBatch, context: model.context };
    const graph = traceTrainStep(model, shape, layoutParameters(model), "f32");
    const report = this.#report = reportOf(compileStages(graph, LAVAPIPE, { name: "nano_step" }));
    const { hash, name, kernels, dispatches, peakBytes, compileMs } = report;
    this.#summary = {
      hash,
      name,
      kernels: kernels.length,
      dispatches: dispatches.length,
      peakBytes,
      compileMs: Object.values(compileMs).reduce((sum, ms) => sum + ms, 0),
      usedBy: ["first"],
    };
  }

  list(): Promise<readonly ProgramSummary[]> {
    return Promise.resolve([this.#summary]);
  }

  async get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (hash !== this.#summary.hash) return undefined;
    const dispatches = this.#report.dispatches.map((dispatch) => ({
      ...dispatch,
      ms: dispatch.bytes / 1e7 + 0.01,
    }));
    return await gzipped({ ...this.#report, dispatches });
  }
}
