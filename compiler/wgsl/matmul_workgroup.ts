/**
 * The matmul of GPUs: a workgroup stages a slice of both operands in its memory, depth slowest, so that an invocation
 * reads four rows or four columns of one depth as one vec4, and multiplies from there. Operands that are contiguous
 * along depth are transposed on the way, four by four in registers.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { LimitError } from "../errors.ts";
import { clampOuter, Fragment, type Operand, operandsOf, plus } from "./matmul_fragment.ts";
import { emitTileIndex } from "./matmul_grid.ts";
import type { WorkgroupSchedule } from "./matmul_schedule.ts";
import { ColumnSums, declareAccumulators, emitDepthLoop, multiplyAdd, storeTile } from "./matmul_tile.ts";
import type { MatmulShape, TileHooks, TileKernel } from "./tile.ts";
import { Writer } from "./writer.ts";

/** Bytes of a `vec4<f32>`. */
const VEC4_BYTES = 16;

/**
 * Emits the product with a tile of `rows * groupRows` by `cols * groupCols` a workgroup.
 *
 * @throws {LimitError} when the staged slices need more workgroup memory than the target has.
 */
export function emitWorkgroupMatmul(
  shape: MatmulShape,
  schedule: WorkgroupSchedule,
  hooks: TileHooks,
  target: Capabilities,
): TileKernel {
  const { rows, cols, groupRows, groupCols, depthStep } = schedule;
  const w = new Writer();
  const { a, b } = operandsOf(shape, hooks);
  const [tileRows, tileCols] = [rows * groupRows, cols * groupCols];
  const invocations = groupRows * groupCols;
  const aTile = new StagedOperand(a, "row", tileRows, invocations);
  const bTile = new StagedOperand(b, "col", tileCols, invocations);
  const workgroupBytes = VEC4_BYTES * depthStep * (aTile.stride + bTile.stride);
  if (workgroupBytes > target.maxWorkgroupBytes) {
    throw new LimitError("matmul's tile", "maxWorkgroupBytes", workgroupBytes, target.maxWorkgroupBytes);
  }
  w.line(`// Tile of the workgroup: ${tileRows} rows x ${tileCols} columns x ${depthStep} depths, staged;`);
  w.line(`// of an invocation: ${rows} x ${cols}.`);
  const workgroups = emitTileIndex(w, {
    rowTiles: Math.ceil(shape.rows / tileRows),
    colTiles: Math.ceil(shape.cols / tileCols),
    batch: shape.batch,
    band: schedule.band,
    tilesPerGroup: 1,
    tileInGroup: "0u",
  }, target);
  w.line(`let localRow = localIndex / ${groupCols}u;`);
  w.line(`let localCol = localIndex % ${groupCols}u;`);
  w.line(`let tileRow = rowTile * ${tileRows}u;`);
  w.line(`let tileCol = colTile * ${tileCols}u;`);
  const size = { rows, colQuads: cols / 4 };
  declareAccumulators(w, rows, size.colQuads);
  const colOffset = (quad: number) => quad * 4 * groupCols;
  // The sums cost an eighth of an invocation's tile of eight rows, so only the invocations that store them add them up.
  const first = "rowTile == 0u && localRow == 0u";
  const sums = new ColumnSums(w, hooks, {
    colQuads: size.colQuads,
    tileCols,
    stores: first,
    adds: first,
    colOffset,
  });
  const loopIterations = emitDepthLoop(w, shape.depth, depthStep, (k, depths) => {
    const aItems = aTile.stage(w, k, depths, 0);
    bTile.stage(w, k, depths, aItems);
    w.line("workgroupBarrier();");
    const aFragment = aTile.fragment("localRow", groupRows);
    const bFragment = bTile.fragment("localCol", groupCols);
    multiplyAdd(w, aFragment, bFragment, { ...size, depths }, 1);
    sums.add(w, bFragment, depths);
    w.line("workgroupBarrier();");
  });
  w.line("let row = tileRow + localRow * 4u;");
  w.line("let col = tileCol + localCol * 4u;");
  sums.store(w, shape);
  storeTile(
    w,
    shape,
    hooks,
    { tileRows, tileCols, ...size },
    (row) => (row >> 2) * 4 * groupRows + (row & 3),
    colOffset,
  );
  return {
    declarations: aTile.declaration(depthStep) + bTile.declaration(depthStep),
    body: w.toString(),
    workgroupSize: [invocations, 1, 1],
    workgroups,
    loopIterations,
    workgroupBytes,
  };
}

/** An operand's slice in workgroup memory: vec4s of four outer indices, one row of `stride` of them for each depth. */
class StagedOperand {
  /** vec4s from one depth to the next; one is padding, so that neighbouring depths start in other banks. */
  readonly stride: number;
  readonly #array: string;

  constructor(
    private readonly operand: Operand,
    private readonly axis: "row" | "col",
    private readonly tile: number,
    private readonly invocations: number,
  ) {
    this.stride = tile / 4 + 1;
    this.#array = `${operand.name}Tile`;
  }

  declaration(depthStep: number): string {
    return `var<workgroup> ${this.#array}: array<vec4<f32>, ${depthStep * this.stride}>;\n`;
  }

  /**
   * Emits the copy of `depths` depths from `k`. Invocations are numbered from `start` on, so that those which copied
   * the other operand come last; returns how many items this copy has.
   */
  stage(w: Writer, k: string, depths: number, start: number): number {
    const { operand, invocations } = this;
    const quads = this.tile / 4;
    const alongOuter = operand.contiguous === "outer";
    const depthQuads = Math.ceil(depths / 4);
    const items = quads * (alongOuter ? depths : depthQuads);
    const shift = (invocations - start % invocations) % invocations;
    const first = `${operand.name}Item`;
    w.line(
      `let ${first} = ${shift === 0 ? "localIndex" : `(localIndex + ${shift}u) % ${invocations}u`};`,
    );
    for (let done = 0; done < items; done += invocations) {
      const copy = () => {
        const item = plus(first, done);
        if (alongOuter) this.#copyQuad(w, k, w.let(item, "item"), quads);
        else this.#copyBlock(w, k, w.let(item, "item"), depthQuads);
      };
      if (done + invocations <= items) w.block("", copy);
      else w.block(`if (${first} < ${items - done}u)`, copy);
    }
    return items;
  }

  /** One vec4 along the outer axis. */
  #copyQuad(w: Writer, k: string, item: string, quads: number): void {
    const quad = w.let(`${item} % ${quads}u`, "quad");
    const depth = w.let(`${item} / ${quads}u`, "depth");
    const at = w.let(this.#outer(`${quad} * 4u`), this.axis);
    const value = this.operand.load(w, at, `${k} + ${depth}`);
    w.line(`${this.#array}[${depth} * ${this.stride}u + ${quad}] = ${value};`);
  }

  /** Four vec4s along depth, transposed. */
  #copyBlock(w: Writer, k: string, item: string, depthQuads: number): void {
    const depth = w.let(`${item} % ${depthQuads}u * 4u`, "depth");
    const quad = w.let(`${item} / ${depthQuads}u`, "quad");
    const rows = [0, 1, 2, 3].map((i) => {
      const at = w.let(this.#outer(plus(`${quad} * 4u`, i)), this.axis);
      return w.let(this.operand.load(w, at, `${k} + ${depth}`), "part");
    });
    ["x", "y", "z", "w"].forEach((component, i) => {
      const column = rows.map((row) => `${row}.${component}`).join(", ");
      w.line(`${this.#array}[(${plus(depth, i)}) * ${this.stride}u + ${quad}] = vec4(${column});`);
    });
  }

  #outer(offset: string): string {
    return clampOuter(this.operand, `${this.axis === "row" ? "tileRow" : "tileCol"} + ${offset}`, this.tile);
  }

  /** What an invocation reads back: its quads are `peers` quads apart, the first is `own`. */
  fragment(own: string, peers: number): Fragment {
    return new Fragment(this.operand.name, "outer", (w, quad, depth) => {
      const name = `${this.operand.name}_${quad}_${depth}`;
      w.line(`let ${name} = ${this.#array}[${plus(own, depth * this.stride + quad * peers)}];`);
      return name;
    });
  }
}
