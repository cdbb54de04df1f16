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
import { gzipped } from "../fake_programs.ts";
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

  async get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return hash === this.#summary.hash ? await gzipped(this.#report) : undefined;
  }
}

function reportOf(compilation: Compilation): ProgramReport {
  const { program, fusion: { graph, groups, boundaries, groupOf }, storage } = compilation;
  const stored = new Set(storage.works.flatMap(({ stores }) => stores.map(({ node }) => node)));
  // Views and what is computed where it is read stand for what they are made of.
  const storedIn = (node: number): number[] =>
    stored.has(node) ? [node] : graph.nodes[node].inputs.flatMap(storedIn);
  // As if every value had a buffer of its own.
  const rangeOf = (node: number): ReportedRange => ({ buffer: node, offset: 0, size: 1 });
  return {
    hash: program.hash,
    name: program.name,
    peakBytes: program.memory.peakBytes,
    stages: Object.fromEntries(
      (["graph", "joint", "groups", "plan"] as const).map((stage) => [stage, explain(compilation, stage)]),
    ),
    kernels: program.kernels,
    dispatches: program.dispatches.map(({ kernel, group, bytes, flops, workgroups }, i) => {
      const nodes = groups.find(({ id }) => id === group)?.nodes ?? [];
      return {
        kernel,
        group,
        bytes,
        flops,
        workgroups,
        reads: nodes.flatMap((node) => graph.nodes[node].inputs.flatMap(storedIn)).map(rangeOf),
        writes: nodes.filter((node) => stored.has(node)).map(rangeOf),
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
