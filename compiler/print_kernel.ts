/**
 * Kernel IR as text for people: one line a value, named after what it is, indices in the loop variables, with a header
 * that says what the kernel computes and over which space.
 *
 * @module
 */
import { bytesPerElement } from "./dtype.ts";
import { add, constantIndex, type IndexExpr } from "./index_expr.ts";
import { type Body, type Instruction, levelsOf, type ValueId } from "./kernel.ts";
import type { KernelIR } from "./lower_work.ts";
import type { Slots } from "./wgsl/slots.ts";

/** The text of one kernel. Tensors have the names of their bindings. */
export function printKernel(kernel: KernelIR, slots: Slots): string {
  const lines = [`kernel ${kernel.title}   ${spaceOf(kernel)}`];
  for (const slot of slots.list) {
    const bytes = slot.elements * bytesPerElement(slot.dtype);
    lines.push(
      `  ${slot.name}: ${slot.dtype}[${slot.elements}]   // ${
        slot.write ? "read_write" : "read"
      }, ${bytes} bytes`,
    );
  }
  for (const [name, operand] of Object.entries(kernel.operands)) {
    lines.push(`  operand ${name}:`);
    const names = namesOf(operand.body);
    lines.push(...instructionLines(operand.body, slots, names, () => "    "));
    lines.push(`    = ${names[operand.value]}`);
  }
  const names = namesOf(kernel.body);
  const { varies } = levelsOf(kernel.body);
  // Values of a row stand at the left, values of its elements are indented once more.
  const indent = (id: ValueId) => varies[id] && kernel.reduced > 1 ? "    " : "  ";
  lines.push(...instructionLines(kernel.body, slots, names, indent));
  for (const store of kernel.body.stores) {
    const slot = slots.find(store.tensor, store.index);
    const place = indexText(store.index, slot.base, names);
    lines.push(`${indent(store.value)}store ${slot.name}[${place}] = ${names[store.value]}`);
  }
  return lines.join("\n") + "\n";
}

function spaceOf(kernel: KernelIR): string {
  if (kernel.kind === "matmul") {
    const { batch, rows, cols, depth } = kernel.sizes;
    return `matmul z<${batch} m<${rows} n<${cols} k<${depth}`;
  }
  if (kernel.kind === "attention") {
    const { batch, queries, keys, width } = kernel.sizes;
    return `attention z<${batch} m<${queries} t<${keys} n<${width} ${JSON.stringify(kernel.attrs)}`;
  }
  if (kernel.kind === "row") return `row p<${kernel.parallel} r<${kernel.reduced}`;
  if (kernel.kind === "column") return `column p<${kernel.parallel} r<${kernel.reduced}`;
  return `${kernel.kind} p<${kernel.parallel}`;
}

const PREFIX: Record<Instruction["kind"], string> = {
  constant: "c",
  scalar: "s",
  index: "i",
  inside: "in",
  load: "x",
  result: "acc",
  random: "bits",
  apply: "v",
  reduce: "r",
};

function namesOf(body: Body): string[] {
  const counts = new Map<string, number>();
  return body.instructions.map((instruction) => {
    if (instruction.kind === "constant") return String(instruction.value);
    if (instruction.kind === "scalar") return instruction.name;
    const prefix = instruction.kind === "apply" || instruction.kind === "reduce"
      ? instruction.op
      : PREFIX[instruction.kind];
    const count = counts.get(prefix) ?? 0;
    counts.set(prefix, count + 1);
    return `${prefix}${count}`;
  });
}

function instructionLines(
  body: Body,
  slots: Slots,
  names: readonly string[],
  indent: (id: ValueId) => string,
): string[] {
  const lines: string[] = [];
  body.instructions.forEach((instruction, id) => {
    const text = describe(instruction, slots, names);
    if (text) lines.push(`${indent(id)}${names[id]} = ${text}`);
  });
  return lines;
}

function describe(instruction: Instruction, slots: Slots, names: readonly string[]): string | undefined {
  switch (instruction.kind) {
    case "constant":
    case "scalar":
      return undefined;
    case "index":
      return `index ${indexText(instruction.index, 0, names)}`;
    case "inside":
      return `${instruction.low} <= ${indexText(instruction.index, 0, names)} < ${instruction.high}`;
    case "load": {
      const slot = slots.find(instruction.tensor, instruction.index);
      return `load ${slot.name}[${indexText(instruction.index, slot.base, names)}]`;
    }
    case "result":
      return `result of the template: ${instruction.op}`;
    case "random":
      return `philox(${indexText(instruction.index, 0, names)}, ${instruction.stream}, ${
        names[instruction.key]
      })`;
    case "apply": {
      const attrs = Object.entries(instruction.attrs).map(([key, value]) => `${key}=${value}`).join(" ");
      return `${instruction.op} ${instruction.args.map((arg) => names[arg]).join(", ")}${
        attrs && ` {${attrs}}`
      }`;
    }
    case "reduce":
      return `${instruction.op} over r of ${names[instruction.arg]}`;
  }
}

function indexText(index: IndexExpr, base: number, names: readonly string[]): string {
  return add(index, constantIndex(-base)).key.replaceAll(/@(\d+)/g, (_, id) => names[Number(id)]);
}
