/**
 * Programs that were compiled for no device in particular, as the server reports them: real kernels for the program viewer.
 *
 * @module
 */
import { type Compilation, compileStages, explain, LAVAPIPE } from "../../../compiler/mod.ts";
import { layoutParameters } from "../../../model/params.ts";
import { traceTrainStep } from "../../../model/programs.ts";
import { planRun } from "../../../model/run_options.ts";
import type { ProgramReport, ReportedRange } from "../../../server/pages/browser/wire.d.ts";
import type { ProgramService, ProgramSummary } from "../../../server/services.ts";

/** One program: a training step of the nano model. */
export class CompiledPrograms implements ProgramService {
  readonly #report: ProgramReport;
  readonly #summary: ProgramSummary;

  constructor(preset: "nano" | "gpt2" = "nano") {
    const { model, microBatch } = planRun({ preset, out: "" }, true);
    const graph = traceTrainStep(
      model,
      { batch: microBatch, context: model.context },
      layoutParameters(model),
      "f32",
    );
    const compilation = compileStages(graph, LAVAPIPE, { name: `${preset}_step` });
    this.#report = reportOf(compilation);
    const { hash, name, kernels, dispatches, memory, compileMs } = compilation.program;
    this.#summary = {
      hash,
      name,
      kernels: kernels.length,
      dispatches: dispatches.length,
      peakBytes: memory.peakBytes,
      compileMs: Object.values(compileMs).reduce((sum, ms) => sum + ms, 0),
      usedBy: ["first"],
    };
  }

  list(): Promise<readonly ProgramSummary[]> {
    return Promise.resolve([this.#summary]);
  }

  get(hash: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    return Promise.resolve(hash === this.#summary.hash ? { ...this.#report } : undefined);
  }
}

function reportOf(compilation: Compilation): ProgramReport {
  const { program, fusion: { graph, groups, boundaries, groupOf } } = compilation;
  return {
    hash: program.hash,
    name: program.name,
    peakBytes: program.memory.peakBytes,
    stages: Object.fromEntries(
      (["graph", "joint", "groups", "plan"] as const).map((stage) => [stage, explain(compilation, stage)]),
    ),
    kernels: program.kernels,
    dispatches: program.dispatches.map(({ kernel, group, bytes, flops, workgroups, ranges }, i) => {
      const { bindings } = program.kernels[kernel];
      const bound = (kind: string): ReportedRange[] => ranges.filter((_, at) => bindings[at] === kind);
      return {
        kernel,
        group,
        bytes,
        flops,
        workgroups,
        reads: bound("read"),
        writes: bound("read_write"),
        ms: bytes / 1e7 + flops / 1e8 + 0.01 * (i % 3),
      };
    }),
    groups: groups.map(({ id, kind, nodes }) => ({
      id,
      kind,
      title: `${nodes.length} ops`,
      scopes: [...new Set(nodes.map((node) => graph.nodes[node].origin.scope).filter(Boolean))],
      phase: graph.nodes[nodes[0]].origin.phase,
      nodes: nodes.map((node) => {
        const { op, dtype, shape, inputs } = graph.nodes[node];
        return `%${node}: ${dtype}[${shape}] = ${op} ${inputs.map((input) => `%${input}`).join(" ")}`;
      }),
      reasons: boundaries.filter(({ consumer }) => groupOf[consumer] === id).map(({ reason }) => reason),
    })),
  };
}
