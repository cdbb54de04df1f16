/**
 * Attention on software adapters without subgroup operations: an invocation keeps a few rows and their results in
 * registers and reads four columns at a time. No invocation waits for another; each stops at its own last column.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import {
  emitRowTile,
  f32Literal,
  LN_2,
  loadQuad,
  LOG2_E,
  MASKED,
  quadsOf,
  type Roles,
  rolesOf,
} from "./attention_parts.ts";
import type { RegisterAttention } from "./attention_schedule.ts";
import type {
  AttentionHooks,
  AttentionKernel,
  AttentionKind,
  AttentionOperand,
  AttentionResult,
  AttentionShape,
} from "./attention_tile.ts";
import { plus } from "./matmul_fragment.ts";
import { Writer } from "./writer.ts";

/** Columns that are scored at once: the elements of a vector. */
const COLUMNS = 4;

/** Emits o, the logarithmic sums of the rows, or both. */
export function emitRegisterForward(
  shape: AttentionShape,
  schedule: RegisterAttention,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly o: boolean; readonly lse: boolean },
): AttentionKernel {
  const tile = new InvocationTile("forward", shape, schedule, hooks);
  const { w, eachRow, eachQuad } = tile;
  return tile.emit(target, results.o ? ["o"] : [], {
    before: () => {
      for (const r of eachRow) {
        w.line(`var top_${r} = ${MASKED};`);
        w.line(`var sum_${r} = 0.0;`);
      }
    },
    step: (columns) => {
      const seeds = eachRow.map(() => "vec4<f32>()");
      tile.score("s", "q", "k", columns, shape.scale * Math.LOG2E, seeds);
      for (const r of eachRow) {
        const score = w.let(tile.visible(r, columns, `s_${r}`, MASKED), "score");
        const pairs = w.let(`max(${score}.xy, ${score}.zw)`, "pairs");
        const top = w.let(`max(top_${r}, max(${pairs}.x, ${pairs}.y))`, "top");
        const shrink = w.let(`exp2(top_${r} - ${top})`, "shrink");
        w.line(`var p_${r} = exp2(${score} - ${top});`);
        w.line(`sum_${r} = sum_${r} * ${shrink} + dot(p_${r}, vec4(1.0));`);
        w.line(`top_${r} = ${top};`);
        if (results.o) { for (const quad of eachQuad) w.line(`o${quad}_${r} *= ${shrink};`); }
      }
      if (results.o) tile.accumulate("o", "p", "v", columns);
    },
    factor: (r, row) => {
      if (results.lse) {
        const lse = `(top_${r} + log2(sum_${r})) * ${LN_2}`;
        hooks.storeRow(w, "lse", { batch: "batch", row }, lse);
      }
      return `/ sum_${r}`;
    },
  });
}

/** Emits dq, or those of dk and dv that are asked for. */
export function emitRegisterGradient(
  shape: AttentionShape,
  schedule: RegisterAttention,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly dq: boolean; readonly dk: boolean; readonly dv: boolean },
): AttentionKernel {
  const tile = new InvocationTile(results.dq ? "gradQ" : "gradKV", shape, schedule, hooks);
  const { w, roles, eachRow } = tile;
  const scores: AttentionResult | undefined = results.dq ? "dq" : results.dk ? "dk" : undefined;
  const written: AttentionResult[] = [...(scores ? [scores] : []), ...(results.dv ? ["dv" as const] : [])];
  const stat = (operand: "lse" | "delta", row: string): string => {
    const value = hooks.loadRow(w, operand, { batch: "batch", row });
    return w.let(operand === "lse" ? `${value} * -${LOG2_E}` : `-${value}`, operand);
  };
  let ofRows: { readonly lse: string[]; readonly delta: string[] } | undefined;
  const seeds = (operand: "lse" | "delta", columns: readonly string[]): string[] => {
    if (ofRows) return ofRows[operand].map((value) => `vec4(${value})`);
    const value = w.let(`vec4(${columns.map((column) => stat(operand, column)).join(", ")})`, "seed");
    return eachRow.map(() => value);
  };
  return tile.emit(target, written, {
    before: () => {
      if (!results.dq) return;
      const of = (operand: "lse" | "delta") => eachRow.map((r) => stat(operand, `row_${r}`));
      ofRows = { lse: of("lse"), delta: of("delta") };
    },
    step: (columns) => {
      const lse = seeds("lse", columns);
      tile.score("s", roles.scoreRow, roles.scoreColumn, columns, shape.scale * Math.LOG2E, lse);
      for (const r of eachRow) w.line(`var p_${r} = ${tile.visible(r, columns, `exp2(s_${r})`, "0.0")};`);
      if (scores) {
        tile.score("ds", roles.gradRow, roles.gradColumn, columns, 1, seeds("delta", columns));
        for (const r of eachRow) w.line(`ds_${r} *= p_${r};`);
        tile.accumulate(scores, "ds", roles.scoreColumn, columns);
      }
      if (results.dv) tile.accumulate("dv", "p", roles.gradColumn, columns);
    },
    factor: (_r, _row, result) => result === "dv" ? "" : `* ${f32Literal(shape.scale)}`,
  });
}

/** The statements that differ between the kernels. */
interface Parts {
  /** Emitted before the loop over columns. */
  before(): void;
  /** One step of four columns, whose indices are named. */
  step(columns: readonly string[]): void;
  /** What a row's result is multiplied or divided by; may emit statements once per row and result. */
  factor(row: number, index: string, result: AttentionResult | undefined): string;
}

/** One invocation's rows. Its results are held in `<result><quad>_<row>`. */
class InvocationTile {
  readonly w = new Writer();
  readonly roles: Roles;
  readonly eachRow: readonly number[];
  readonly eachQuad: readonly number[];
  #iterations = 0;

  constructor(
    kind: AttentionKind,
    private readonly shape: AttentionShape,
    private readonly schedule: RegisterAttention,
    private readonly hooks: AttentionHooks,
  ) {
    this.roles = rolesOf(kind, shape);
    this.eachRow = Array.from({ length: schedule.rows }, (_, r) => r);
    this.eachQuad = Array.from({ length: quadsOf(shape) }, (_, quad) => quad);
  }

  emit(target: Capabilities, results: readonly AttentionResult[], parts: Parts): AttentionKernel {
    const { w, roles, shape, hooks, eachRow, eachQuad } = this;
    const { rows, invocations } = this.schedule;
    w.line(`// ${rows} rows an invocation, ${COLUMNS} columns at a time.`);
    const workgroups = emitRowTile(w, shape, hooks, roles, rows * invocations, target);
    w.line(`let first = rowStart + localIndex * ${rows}u;`);
    if (roles.rows % (rows * invocations) !== 0) w.line(`if (first >= ${roles.rows}u) { return; }`);
    const partial = roles.rows % rows !== 0;
    for (const r of eachRow) {
      const row = plus("first", r);
      w.line(`let row_${r} = ${partial && r > 0 ? `min(${row}, ${roles.rows - 1}u)` : row};`);
    }
    for (const result of results) {
      for (const r of eachRow) {
        for (const quad of eachQuad) w.line(`var ${result}${quad}_${r} = vec4<f32>();`);
      }
    }
    parts.before();
    const begin = roles.sees === "from" ? `first & ~${COLUMNS - 1}u` : "0u";
    const end = roles.sees === "upTo" ? `min(first + ${rows}u, ${roles.columns}u)` : `${roles.columns}u`;
    w.line(`let end = ${end};`);
    w.block(`for (var start = ${begin}; start < end; start += ${COLUMNS}u)`, () => {
      const exact = roles.columns % COLUMNS === 0;
      const columns = Array.from(
        { length: COLUMNS },
        (_, i) =>
          w.let(exact ? plus("start", i) : `min(${plus("start", i)}, ${roles.columns - 1}u)`, "column"),
      );
      parts.step(columns);
    });
    for (const r of eachRow) {
      const store = () => {
        const row = `row_${r}`;
        if (results.length === 0) parts.factor(r, row, undefined);
        for (const result of results) {
          const factor = parts.factor(r, row, result);
          for (const quad of eachQuad) {
            const at = { batch: "batch", row, col: `${4 * quad}u` };
            this.hooks.store(w, result, at, `${result}${quad}_${r}${factor === "" ? "" : ` ${factor}`}`);
          }
        }
      };
      if (partial && r > 0) w.block(`if (${plus("first", r)} < ${roles.rows}u)`, store);
      else store();
    }
    return {
      declarations: "",
      body: w.toString(),
      workgroupSize: [invocations, 1, 1],
      workgroups,
      loopIterations: Math.ceil(roles.columns / COLUMNS) * (1 + this.#iterations),
      workgroupBytes: 0,
    };
  }

  /** Emits `<name>_<row>`: the seeds plus `factor` times the products of the rows with four columns. */
  score(
    name: string,
    row: AttentionOperand,
    column: AttentionOperand,
    columns: readonly string[],
    factor: number,
    seeds: readonly string[],
  ): void {
    const { w, shape, hooks, eachRow, eachQuad } = this;
    for (const r of eachRow) w.line(`var ${name}_${r} = ${seeds[r]};`);
    w.block(`for (var k = 0u; k < ${4 * eachQuad.length}u; k += 4u)`, () => {
      const others = columns.map((at) => w.let(loadQuad(w, shape, hooks, column, at, "k"), column));
      for (const r of eachRow) {
        const value = loadQuad(w, shape, hooks, row, `row_${r}`, "k");
        const own = w.let(factor === 1 ? value : `${value} * ${f32Literal(factor)}`, row);
        w.line(`${name}_${r} += vec4(${others.map((other) => `dot(${own}, ${other})`).join(", ")});`);
      }
    });
    this.#iterations += eachQuad.length;
  }

  /** `value` where a row sees a column of the step, and `hidden` elsewhere. */
  visible(row: number, columns: readonly string[], value: string, hidden: string): string {
    const { roles } = this;
    const conditions = columns.map((column, i) =>
      [
        ...(roles.sees === "upTo" ? [`${column} <= row_${row}`] : []),
        ...(roles.sees === "from" ? [`row_${row} <= ${column}`] : []),
        ...(roles.columns % COLUMNS === 0 ? [] : [`${plus("start", i)} < ${roles.columns}u`]),
      ].join(" && ")
    );
    if (conditions[0] === "") return value;
    return `select(vec4(${hidden}), ${value}, vec4<bool>(${conditions.join(", ")}))`;
  }

  /** Emits the products of the rows' weights with four columns of an operand, into a result. */
  accumulate(
    result: AttentionResult,
    weights: string,
    operand: AttentionOperand,
    columns: readonly string[],
  ): void {
    const { w, shape, hooks, eachRow, eachQuad } = this;
    // One column an iteration, so that a CPU driver compiles its loads once.
    w.block("", () => {
      w.line(`var turn = vec4<u32>(${columns.join(", ")});`);
      w.block(`for (var c = 0u; c < ${COLUMNS}u; c++)`, () => {
        for (const quad of eachQuad) {
          const value = w.let(loadQuad(w, shape, hooks, operand, "turn.x", `${4 * quad}u`), operand);
          for (const r of eachRow) w.line(`${result}${quad}_${r} += ${weights}_${r}.x * ${value};`);
        }
        w.line("turn = turn.yzwx;");
        for (const r of eachRow) w.line(`${weights}_${r} = ${weights}_${r}.yzwx;`);
      });
    });
    this.#iterations += COLUMNS;
  }
}
