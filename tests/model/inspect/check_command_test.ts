/**
 * What the command prints, and how it ends.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { trace } from "../../../compiler/mod.ts";
import { InputError } from "../../../model/errors.ts";
import { type CheckSubject, runChecks } from "../../../model/inspect/check_command.ts";
import { fillValues } from "../../../model/inspect/step_values.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { deviceTest } from "./tiny_step.ts";

/** Two kernels: a product and a sum. */
const GRAPH = trace(
  ({ x, w }) => ({ y: x.matmul(w).gelu(), total: x.mul(x).sum() }),
  {
    x: { shape: [24, 16], dtype: "f32", role: "batch" },
    w: { shape: [16, 32], dtype: "f32", role: "state" },
  },
);

function subjectOn(device: CheckSubject["device"]): CheckSubject {
  return {
    device,
    graph: GRAPH,
    options: { mode: "fused", name: "small" },
    values: () => Promise.resolve(fillValues(GRAPH)),
    command: "deno task inspect --edit sum",
  };
}

deviceTest(
  "a check of a program of the user's own says what was found, as text and as JSON",
  async (device) => {
    const printed: string[] = [];
    const subject = subjectOn(device);
    assertEquals(await runChecks(subject, { check: true }, (text) => printed.push(text)), 0);
    assertMatch(printed[0], /^small: (\d+) of \1 kernel launches held against float64 in .*: all within/);
    assertMatch(
      printed[0],
      /matmul_\w+\n\s+%\d+: f32\[24,32\].*\n\s+\[\d+,\d+\] is \S+, float64 gives \S+\n/,
    );
    assertEquals(await runChecks(subject, { check: true, json: true }, (text) => printed.push(text)), 0);
    const report = JSON.parse(printed[1]);
    assert(
      report.kernels.length > 1 && report.kernels.every((kernel: { share: number }) => kernel.share === 1),
    );
  },
);

deviceTest("a result that takes too long is checked in parts", async (device) => {
  const printed: string[] = [];
  assertEquals(
    await runChecks(subjectOn(device), { check: true, limit: 2e-6 }, (text) => printed.push(text)),
    0,
  );
  assertMatch(printed[0], /only parts were compared/);
  assertMatch(printed[0], /; \d\S* % compared/);
});

deviceTest("a bisection of modes that agree ends well", async (device) => {
  const printed: string[] = [];
  assertEquals(await runChecks(subjectOn(device), { bisect: "eager" }, (text) => printed.push(text)), 0);
  assertMatch(
    printed[0],
    /^fused against eager: \d+ values that both store, none differs beyond rounding\n$/,
  );
});

Deno.test("flags that do not go together, and names of nothing, are refused with a remedy", async () => {
  const device = await openDevice();
  const subject = subjectOn(device);
  const refuse = async (flags: Parameters<typeof runChecks>[1], message: string) => {
    await assertRejects(() => runChecks(subject, flags, () => {}), InputError, message);
  };
  try {
    await refuse({ check: true, edit: "x" }, "--edit: given with --check; keep one");
    await refuse(
      { check: true, watch: true },
      "--watch: there is no kernel file to watch; give it with --edit KERNEL",
    );
    await refuse({ bisect: "fused" }, "--bisect fused: that is the mode itself; compare it with eager");
    await refuse({ edit: "nothing" }, "--edit nothing: no kernel has that name; name one, such as ");
    await refuse({ edit: "_" }, "kernels have that in their names; name one, such as ");
    await assertRejects(
      () => runChecks(subject, { bisect: "no/such/file" }, () => {}),
      Error,
      "no/such/file: cannot be read",
    );
  } finally {
    device.destroy();
  }
});
