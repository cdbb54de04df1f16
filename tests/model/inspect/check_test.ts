/**
 * Check mode: right kernels pass, wrong ones are named, and nothing else is.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Compilation } from "../../../compiler/mod.ts";
import { checkProgram, isWrong } from "../../../model/inspect/check.ts";
import { openOn } from "../../../model/inspect/step_values.ts";
import type { GpuDevice } from "../../../runtime/mod.ts";
import { breakKernel, compileTiny, deviceTest, TINY, tinyValues } from "./tiny_step.ts";

async function wrongKernels(device: GpuDevice, compilation: Compilation, plan = TINY): Promise<string[]> {
  const values = await tinyValues(device, plan);
  using opened = await openOn(device, compilation, values);
  const { kernels, skipped } = await checkProgram(opened.loaded, compilation, values);
  assertEquals(skipped, []);
  assertEquals(kernels.length, compilation.order.length);
  return [...new Set(kernels.filter(isWrong).map(({ kernel }) => kernel))];
}

for (const mode of ["fused", "eager"] as const) {
  deviceTest(`every kernel of a ${mode} step passes the check`, async (device) => {
    assertEquals(await wrongKernels(device, compileTiny(device.capabilities, mode)), []);
  });
}

for (const dtype of ["f16", "bf16"] as const) {
  deviceTest(`every kernel of a step in ${dtype} passes the check`, async (device) => {
    if (dtype === "f16" && !device.capabilities.f16) return;
    const plan = { ...TINY, dtype };
    assertEquals(await wrongKernels(device, compileTiny(device.capabilities, "fused", plan), plan), []);
  });
}

/** Kernels by the beginnings of their names, and what is done to them. */
const BREAKAGES: Readonly<Record<string, (wgsl: string) => string>> = {
  // the bias of a layerNorm with a wrong operator
  row_gather_add: (wgsl) => wgsl.replace(/(.*let v\d+ = \(v\d+) \+ /s, "$1 - "),
  // a product that leaves out the end of its depth
  matmul_matmul_select: (wgsl) => wgsl.replace(/k < (\d+)u/, (_, depth) => `k < ${depth - 4}u`),
  // a sum over columns that begins with the second row
  column_sum: (wgsl) => wgsl.replace(/= 0u; (\w+) </, "= 1u; $1 <"),
  // a moment that does not decay
  pointwise_mul_add_mul_add: (wgsl) => wgsl.replace(/0\.9499\d*f/, "1f"),
  // a row whose result is not stored
  row_sum_max_sub_exp: (wgsl) => wgsl.replace(/\n\s+(t\d+\[p\] = v\d+;)/, "\nif (p != 3u) { $1 }"),
};

deviceTest("the check names exactly the kernels that are wrong", async (device) => {
  let compilation = compileTiny(device.capabilities);
  const expected: string[] = [];
  for (const [name, change] of Object.entries(BREAKAGES)) {
    const { broken, kernel } = breakKernel(compilation, name, change);
    compilation = broken;
    expected.push(kernel);
  }
  assertEquals((await wrongKernels(device, compilation)).sort(), expected.sort());
});

deviceTest("the check names exactly the kernel with a missing barrier", async (device) => {
  const workgroups = { ...device.capabilities, software: false, subgroupSize: 0 };
  const compilation = compileTiny(workgroups);
  const { broken, kernel } = breakKernel(
    compilation,
    "matmul_matmul_add_mul",
    (wgsl) => wgsl.replaceAll("workgroupBarrier();", ""),
  );
  const wrong = await wrongKernels(device, broken);
  assert(wrong.every((name) => name === kernel), `${wrong} instead of ${kernel}`);
  // A GPU whose subgroups are as large as the workgroup may get away without barriers.
  if (device.info.software) assertEquals(wrong, [kernel]);
});

deviceTest("the check names a kernel that also writes into its neighbour's memory", async (device) => {
  const { broken, kernel } = breakKernel(
    compileTiny(device.capabilities),
    "attention_attentionGradQ",
    (wgsl) => wgsl.replace(/\n\s+(t\d+)\[(.*)\] = (\w+);/, "$&\n$1[$2 + 8u] = $3;"),
  );
  assertEquals(await wrongKernels(device, broken), [kernel]);
});
