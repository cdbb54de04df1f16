/**
 * The pipeline: graph in, program out. Pure and synchronous; every stage's result is kept for whoever wants to look.
 *
 *   graph -> decompose -> simplify -> split -> fuse -> assign storage -> lower -> order -> plan memory -> emit
 *
 * With a budget of memory, what the plan needs decides what is recomputed, and fusing begins again.
 *
 * @module
 */
import { keepsWhole } from "./attention.ts";
import type { Capabilities } from "./capabilities.ts";
import { decompose } from "./decompose.ts";
import { KernelSet, scalarsBytes, type Tunable } from "./emit.ts";
import { type Fusion, type Mode, type Optimization, OPTIMIZATIONS } from "./fusion.ts";
import { fuse } from "./fuse.ts";
import { type Graph, sizeOf } from "./graph.ts";
import { hashGraph, hashText } from "./hash.ts";
import { type KernelIR, lowerWork } from "./lower_work.ts";
import { type OrderAim, OrderCycle, orderWorks, type Traffic, trafficOf } from "./order.ts";
import { type Placement, planMemory } from "./plan.ts";
import type { BufferPlan, Program, ProgramScalar, ProgramTensor } from "./program.ts";
import { fitMemory } from "./recompute.ts";
import { type AppliedRule, simplify } from "./simplify.ts";
import { splitForTarget } from "./split.ts";
import { bytesPerElement } from "./dtype.ts";
import { rangeOf } from "./index_expr.ts";
import { assignStorage, type Storage } from "./storage.ts";
import type { ScheduleLookup } from "./wgsl/template.ts";

/** How to compile. */
export interface CompileOptions {
  /** `fused` by default; `eager` gives every op a kernel of its own, and products no tiles. */
  readonly mode?: Mode;
  /** What to do instead of all that the mode does. */
  readonly optimizations?: ReadonlySet<Optimization>;
  /** Name of the program in messages and listings. */
  readonly name?: string;
  /** Schedules that were measured on the target; templates choose for themselves where there are none. */
  readonly schedules?: ScheduleLookup;
  /** Most memory that the program may hold at once, in bytes; values are recomputed rather than kept to stay below. */
  readonly memoryBytes?: number;
  /** Is given every pass of simplification with all of its rewrites; nothing is recorded without it. */
  readonly onSimplified?: (pass: SimplifyPass) => void;
  /** Is given every stage of the compilation, whoever asked for the program alone. */
  readonly onCompiled?: (compilation: Compilation) => void;
}

/** One pass of simplification, as it was recorded. */
export interface SimplifyPass {
  /** The graph before. */
  readonly before: Graph;
  /** The graph after. */
  readonly after: Graph;
  /** Every use of a rule, in order. */
  readonly applied: readonly AppliedRule[];
}

/** Every stage of one compilation. */
export interface Compilation {
  /** As it was traced. */
  readonly graph: Graph;
  /** Without composites, those that have a template apart. */
  readonly decomposed: Graph;
  /** After simplification and splitting, with what is recomputed to save memory. */
  readonly simplified: Graph;
  /** The fuser's groups and reasons. */
  readonly fusion: Fusion;
  /** Where values live. */
  readonly storage: Storage;
  /** Kernel IR in execution order, with the id of the work that it computes. */
  readonly kernels: readonly KernelIR[];
  /** Work ids in execution order. */
  readonly order: readonly number[];
  /** Dispatches of the program, by position in the order: the first, and the one after the last. */
  readonly launches: readonly (readonly [first: number, end: number])[];
  /** Offsets and lifetimes. */
  readonly placement: Placement;
  /** The finished program. */
  readonly program: Program;
  /** Its kernels that could be cut in other ways. */
  readonly tunables: readonly Tunable[];
}

function simplifyOnce(
  before: Graph,
  { onSimplified }: CompileOptions,
  without: readonly string[] = [],
): Graph {
  if (!onSimplified) return simplify(before, { without });
  const applied: AppliedRule[] = [];
  const after = simplify(before, { without, record: (each) => applied.push(each) });
  onSimplified({ before, after, applied });
  return after;
}

/**
 * Compiles a traced graph for a target.
 *
 * @throws {LimitError} when a tensor or kernel cannot be made to fit the target, with the sizes.
 * @throws {MemoryBudgetError} when the budget of memory is too small, with the least that is needed.
 * @example
 * ```ts
 * import { BASELINE, compileGraph, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: x.mul(2).exp() }), { x: { shape: [64], dtype: "f32", role: "batch" } });
 * const program = compileGraph(graph, BASELINE);
 * console.log(program.dispatches.length); // 1: both ops are one kernel
 * ```
 */
export function compileGraph(graph: Graph, target: Capabilities, options: CompileOptions = {}): Program {
  return compileStages(graph, target, options).program;
}

/**
 * Compiles and keeps every stage: what the inspector shows.
 *
 * @example
 * ```ts
 * import { BASELINE, compileStages, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: x.softmax() }), { x: { shape: [8, 64], dtype: "f32", role: "batch" } });
 * const { fusion, program } = compileStages(graph, BASELINE, { mode: "fused" });
 * console.log(fusion.groups.map((group) => group.kind), program.kernels[0].wgsl); // one row kernel
 * ```
 */
export function compileStages(graph: Graph, target: Capabilities, options: CompileOptions = {}): Compilation {
  const { mode = "fused", name = "program" } = options;
  const { optimizations = OPTIMIZATIONS[mode] } = options;
  const compileMs: Record<string, number> = {};
  const timed = <T>(stage: string, run: () => T): T => {
    const start = performance.now();
    const result = run();
    compileMs[stage] = performance.now() - start;
    return result;
  };
  const decomposed = timed("decompose", () => decompose(graph, target, keepsWhole(target, optimizations)));
  const planOf = (graph: Graph, run: typeof timed, aim?: OrderAim) => {
    const fusion = run("fuse", () => fuse(graph, target, optimizations));
    const { storage, lowered, order } = run("lower", () => settleStorage(fusion, aim));
    const kernels = order.map((id) => lowered[id]);
    const placement = run("plan", () => planMemory(storage, kernels, target));
    return { fusion, storage, kernels, order, placement };
  };
  const split = timed(
    "simplify",
    () => {
      const whole = simplifyOnce(decomposed, options);
      return simplifyOnce(splitForTarget(whole, target), options, ["nested-reductions"]);
    },
  );
  const unlimited = planOf(split, timed);
  const { memoryBytes } = options;
  const { plan, recomputation } = memoryBytes === undefined
    ? { plan: unlimited }
    : timed("recompute", () =>
      fitMemory(unlimited, memoryBytes, (graph, aim) => planOf(graph, untimed, aim), name));
  const { fusion, storage, kernels, order, placement } = plan;
  const simplified = fusion.graph;
  const scalars = scalarsOf(simplified);
  const scalarsBuffer = placement.buffers.length;
  const tiled = optimizations.has("tiles");
  const set = new KernelSet(placement, scalars, scalarsBuffer, target, tiled, options.schedules);
  const launches: [number, number][] = [];
  timed("emit", () => {
    order.forEach((id, position) => {
      const { group } = storage.works[id];
      const first = set.dispatches.length;
      set.add(ownedKernel(kernels[position], placement.owner), group ? group.id : -1);
      launches.push([first, set.dispatches.length]);
    });
  });
  const buffers: BufferPlan[] = [...placement.buffers];
  if (scalars.length > 0) {
    buffers.push({ kind: "scalars", name: "scalars", bytes: scalarsBytes(scalars.length) });
  }
  const program: Program = {
    name,
    hash: hashText(
      `${hashGraph(graph)} ${[...optimizations].sort()} ${JSON.stringify(target)} ${tuningText(set)}` +
        againText(simplified),
    ),
    kernels: set.kernels,
    dispatches: set.dispatches,
    buffers,
    inputs: inputsOf(storage, placement),
    outputs: outputsOf(storage, placement),
    scalars,
    memory: placement.memory,
    ...recomputation === undefined ? {} : { recomputation },
    compileMs,
  };
  const { tunables } = set;
  const compilation: Compilation = {
    graph,
    decomposed,
    simplified,
    fusion,
    storage,
    kernels,
    order,
    launches,
    placement,
    program,
    tunables,
  };
  options.onCompiled?.(compilation);
  return compilation;
}

function untimed<T>(_: string, run: () => T): T {
  return run();
}

/** What is recomputed. */
function againText(graph: Graph): string {
  const again = graph.nodes.filter(({ origin }) => origin.recomputes !== undefined);
  return again.map(({ id, origin }) => ` %${id} again %${origin.recomputes}`).join("");
}

/** What was tuned, and how. */
function tuningText({ kernels }: KernelSet): string {
  return kernels.flatMap(({ template }) => template?.tuned ? [template.key, template.scheduleName] : [])
    .join();
}

/**
 * Assigns storage, giving up on writing a state over itself wherever a kernel would then read what it (or another) has
 * already overwritten.
 */
function settleStorage(
  fusion: Fusion,
  aim?: OrderAim,
): { storage: Storage; lowered: KernelIR[]; order: number[] } {
  const separate = new Set<string>();
  for (;;) {
    const storage = assignStorage(fusion, separate);
    const lowered = storage.works.map((work) => lowerWork(storage, work));
    const hazard = lowered.map((kernel) => overwritten(storage, kernel)).find((name) => name !== undefined);
    if (hazard !== undefined && !separate.has(hazard)) {
      separate.add(hazard);
      continue;
    }
    const traffic = lowered.map(trafficOf);
    try {
      return { storage, lowered, order: orderWorks(storage, traffic, aim) };
    } catch (error) {
      const stuck = error instanceof OrderCycle ? donatedBy(storage, traffic, error.works) : undefined;
      if (stuck === undefined || separate.has(stuck)) throw error;
      separate.add(stuck);
    }
  }
}

/** Name of a state that a kernel reads at other elements than those that it writes in the same place. */
function overwritten(storage: Storage, kernel: KernelIR): string | undefined {
  for (const store of kernel.body.stores) {
    const root = storage.roots[store.tensor];
    if (root.kind !== "state") continue;
    const [first, last] = rangeOf(store.index);
    const conflicts = (body: KernelIR["body"], inOperand: boolean) =>
      body.instructions.some((load) => {
        if (load.kind !== "load" || load.tensor !== root.id) return false;
        const [low, high] = rangeOf(load.index);
        if (high < first || low > last) return false;
        return inOperand || load.index.key !== store.index.key || kernel.kind === "row" ||
          kernel.kind === "column";
      });
    const operands = Object.values(kernel.operands);
    if (conflicts(kernel.body, false) || operands.some(({ body }) => conflicts(body, true))) return root.name;
  }
  return undefined;
}

/** A state that one of the works overwrites. */
function donatedBy(
  storage: Storage,
  traffic: readonly Traffic[],
  works: readonly number[],
): string | undefined {
  for (const id of works) {
    if (storage.works[id].copyOf !== undefined) continue;
    for (const root of traffic[id].writes) {
      if (storage.roots[root].kind === "state") return storage.roots[root].name;
    }
  }
  return undefined;
}

/** The kernel with every root replaced by the one whose memory it uses. */
function ownedKernel(kernel: KernelIR, owner: readonly number[]): KernelIR {
  const bodies = [kernel.body, ...Object.values(kernel.operands).map((operand) => operand.body)];
  for (const body of bodies) {
    body.instructions.forEach((instruction, id) => {
      if (instruction.kind === "load") {
        body.instructions[id] = { ...instruction, tensor: owner[instruction.tensor] };
      }
    });
    body.stores.forEach((store, i) => body.stores[i] = { ...store, tensor: owner[store.tensor] });
  }
  return kernel;
}

function scalarsOf(graph: Graph): ProgramScalar[] {
  return graph.nodes
    .filter((node) => node.op === "input" && node.attrs.role === "scalar")
    .map((node, i) => ({ name: node.attrs.name as string, dtype: node.dtype, offset: i * 4 }));
}

function inputsOf(storage: Storage, placement: Placement): ProgramTensor[] {
  return storage.fusion.graph.nodes
    .filter((node) => node.op === "input" && node.attrs.role !== "scalar")
    .map((node) => {
      const root = storage.homes.get(node.id)!.root;
      const size = sizeOf(node.shape) * bytesPerElement(node.dtype);
      const { name } = node.attrs as { name: string };
      return { name, shape: node.shape, dtype: node.dtype, range: { ...placement.at[root], size } };
    });
}

function outputsOf(storage: Storage, placement: Placement): ProgramTensor[] {
  const { graph } = storage.fusion;
  return graph.outputs.map(({ name, node: id }) => {
    const node = graph.nodes[id];
    const { root } = storage.outputs.find((output) => output.name === name)!;
    const size = sizeOf(node.shape) * bytesPerElement(node.dtype);
    return { name, shape: node.shape, dtype: node.dtype, range: { ...placement.at[root], size } };
  });
}
