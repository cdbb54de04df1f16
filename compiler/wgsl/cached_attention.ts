/**
 * Attention to a cache, one subgroup for each query. Lanes own keys while scores are computed, and channels while values
 * are summed; the loop over keys ends with the last one that the query sees, so a short sequence costs little in a long
 * cache. Each query goes its own way: its result has the same bits whatever else is in the batch.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import type { KernelIR } from "../lower_work.ts";
import { f32Literal } from "./attention_parts.ts";
import { Emitter, splat, storeAll } from "./expression.ts";
import { foldGrid, type KernelText } from "./kernel_text.ts";
import { type Access, accessesOf, type Slots } from "./slots.ts";
import { Writer } from "./writer.ts";

/** A score that leaves no weight. */
const HIDDEN = "-1e30";

/** Operands that have one number a query instead of one for each channel. */
const SINGLE = ["slot", "last"];

/** All accesses of the kernel. */
export function cachedAccesses(kernel: KernelIR): Access[] {
  return [
    ...Object.entries(kernel.operands).flatMap(([name, { body }]) =>
      accessesOf(body, SINGLE.includes(name) ? "" : "n")
    ),
    ...accessesOf(kernel.body, "n"),
  ];
}

/** Emits the kernel. */
export function emitCachedAttention(kernel: KernelIR, slots: Slots, target: Capabilities): KernelText {
  const w = new Writer();
  const { b, h, m, t, n } = kernel.sizes;
  const scale = kernel.attrs!.scale as number;
  const lanes = target.subgroupSize;
  const quads = n / 4;
  const perLane = Math.max(1, quads / lanes);
  // Few channels: lanes form groups that sum the values of different keys.
  const groupLanes = Math.min(lanes, quads);
  const groups = lanes / groupLanes;
  const each = lanes / groups;

  const operand = (name: string, names: Record<string, string>, vector = "n"): string => {
    const { body, value } = kernel.operands[name];
    const context = { body, slots, vector, names: new Map(Object.entries(names)) };
    const emitted = new Emitter(context).value(w, value);
    return vector === "" || emitted.lanes === 4 ? emitted.text : splat(emitted.text, 4, "f32");
  };

  const workgroups = foldGrid(w, b * h * m, target, "query");
  w.line(`let m = query % ${m}u;`);
  w.line(`let h = query / ${m}u % ${h}u;`);
  w.line(`let b = query / ${m * h}u;`);
  const s = w.let(`u32(${operand("slot", { b: "b" }, "")})`, "slot");
  const last = w.let(`${operand("last", { b: "b", m: "m" }, "")}`, "last");
  const end = w.let(`u32(clamp(${last} + 1, 0, ${t}))`, "end");
  const q = Array.from(
    { length: quads },
    (_, i) => w.let(operand("q", { b: "b", h: "h", m: "m", n: `${4 * i}u` }), "q"),
  );
  const own = groups > 1 ? w.let(`lane % ${groupLanes}u`, "own") : "lane";
  const part = groups > 1 ? w.let(`lane / ${groupLanes}u`, "part") : "0u";
  const channels = Array.from(
    { length: perLane },
    (_, i) => w.let(`(${own} + ${i * lanes}u) * 4u`, "channel"),
  );
  w.line(`var top = ${HIDDEN};`);
  w.line("var sum = 0.0;");
  channels.forEach((_, i) => w.line(`var o_${i} = vec4<f32>();`));
  w.block(`for (var start = 0u; start < ${end}; start += ${lanes}u)`, () => {
    const key = w.let(`min(start + lane, ${t - 1}u)`, "key");
    w.line("var score = 0.0;");
    q.forEach((value, i) => {
      const k = w.let(operand("k", { s, h: "h", t: key, n: `${4 * i}u` }), "k");
      w.line(`score += dot(${value}, ${k});`);
    });
    w.line(`score = select(${HIDDEN}, score * ${f32Literal(scale * Math.LOG2E)}, start + lane < ${end});`);
    w.line("let most = max(top, subgroupMax(score));");
    w.line("let shrink = exp2(top - most);");
    w.line("let weight = exp2(score - most);");
    w.line("sum = sum * shrink + weight;");
    w.line("top = most;");
    channels.forEach((_, i) => w.line(`o_${i} *= shrink;`));
    for (let j = 0; j < each; j++) {
      const from = groups > 1 ? w.let(`${part} * ${each}u + ${j}u`, "from") : `${j}u`;
      const p = w.let(`subgroupShuffle(weight, ${from})`, "p");
      const row = w.let(`min(start + ${from}, ${t - 1}u)`, "row");
      channels.forEach((channel, i) => {
        w.line(`o_${i} += ${p} * ${operand("v", { s, h: "h", t: row, n: channel })};`);
      });
    }
  });
  for (let apart = groupLanes; apart < lanes; apart *= 2) {
    w.line(`o_0 += subgroupShuffleXor(o_0, ${apart}u);`);
  }
  w.line("let total = subgroupAdd(sum);");
  w.line("let share = select(0.0, 1.0 / total, total > 0.0);");
  const result = kernel.body.instructions.findIndex(({ kind }) => kind === "result");
  const store = () =>
    channels.forEach((channel, i) => {
      const names = new Map(Object.entries({ b: "b", h: "h", m: "m", n: channel }));
      const emitter = new Emitter({ body: kernel.body, slots, vector: "n", names });
      emitter.define(result, { text: w.let(`o_${i} * share`, "o"), lanes: 4 });
      storeAll(w, emitter, kernel.body.stores);
    });
  if (groups > 1) w.block(`if (${part} == 0u)`, store);
  else store();
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [lanes, 1, 1],
    workgroups,
    loopIterations: Math.ceil(t / lanes),
    workgroupBytes: 0,
  };
}
