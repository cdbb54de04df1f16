import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BASELINE, type Capabilities } from "../../compiler/capabilities.ts";
import { InternalError, LimitError } from "../../compiler/errors.ts";
import type { Dispatch, KernelSource, Program } from "../../compiler/program.ts";
import { checkProgram } from "../../runtime/limits.ts";
import { openDevice } from "../../runtime/mod.ts";
import { counter, withDevice } from "./support.ts";

/** Limits so low that `counter` meets each of them exactly. */
const EXACT: Capabilities = {
  ...BASELINE,
  maxStorageBuffers: 2,
  maxBindingBytes: 32,
  maxBufferBytes: 32,
  maxWorkgroupBytes: 64,
  maxInvocations: 8,
  maxWorkgroups: 3,
  maxLoopIterations: 8,
};

function withKernel(change: Partial<KernelSource>): Program {
  const program = counter();
  return { ...program, kernels: [{ ...program.kernels[0], ...change }, program.kernels[1]] };
}

function withDispatch(change: Partial<Dispatch>): Program {
  const program = counter();
  return { ...program, dispatches: [{ ...program.dispatches[0], ...change }, program.dispatches[1]] };
}

function crosses(name: string, limit: keyof Capabilities, needed: number, what: string, program: Program) {
  Deno.test(`${name} past the limit are refused with both numbers`, () => {
    checkProgram(counter(), EXACT);
    const error = assertThrows(() => checkProgram(program, EXACT)) as LimitError;
    const allowed = EXACT[limit];
    assertEquals(error.name, "LimitError");
    assertEquals([error.what, error.limit, error.needed, error.allowed], [what, limit, needed, allowed]);
    assertEquals(error.message, `${what} needs ${needed} but ${limit} is ${allowed}`);
  });
}

const range = (buffer: number, size: number, offset = 0) => ({ buffer, offset, size });

crosses(
  "storage bindings",
  "maxStorageBuffers",
  3,
  "kernel count",
  withKernel({ bindings: ["read_write", "read", "read"] }),
);
crosses("invocations", "maxInvocations", 16, "kernel count", withKernel({ workgroupSize: [8, 2, 1] }));
crosses(
  "bytes of workgroup memory",
  "maxWorkgroupBytes",
  65,
  "kernel count",
  withKernel({ workgroupBytes: 65 }),
);
crosses("loop iterations", "maxLoopIterations", 9, "kernel count", withKernel({ loopIterations: 9 }));
crosses("workgroups", "maxWorkgroups", 4, "kernel count", withDispatch({ workgroups: [3, 4, 1] }));
crosses("bytes of a buffer", "maxBufferBytes", 48, "buffer sum", {
  ...counter(),
  buffers: counter().buffers.map((plan) => plan.name === "sum" ? { ...plan, bytes: 48 } : plan),
});

Deno.test("bytes of a binding past the limit are refused with both numbers, and its buffer's name", () => {
  const target = { ...EXACT, maxBindingBytes: 31 };
  const error = assertThrows(() => checkProgram(counter(), target), LimitError);
  assertEquals(error.message, "kernel count, binding 0 (buffer total) needs 32 but maxBindingBytes is 31");
});

Deno.test("a program that contradicts itself is refused before anything is made", () => {
  const refused = (program: Program, message: string) =>
    assertThrows(() => checkProgram(program, BASELINE), InternalError, message);
  refused(withDispatch({ kernel: 7 }), "dispatches kernel 7");
  refused(withDispatch({ ranges: [range(0, 32)] }), "has 3 bindings but 1 ranges");
  refused(withDispatch({ ranges: [range(0, 32), range(1, 48), range(2, 16)] }), "outside buffer x");
  refused(withDispatch({ ranges: [range(0, 16, 16), range(1, 32), range(2, 16)] }), "no multiple of 256");
});

Deno.test("a program past the device's limits is refused at load and leaves no memory behind", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const before = device.memory.allocatedBytes;
    const workgroups = device.capabilities.maxWorkgroups + 1;
    const program = withDispatch({ workgroups: [workgroups, 1, 1] });
    const error = await assertRejects(() => device.load(program, states), LimitError);
    assertEquals([error.limit, error.needed], ["maxWorkgroups", workgroups]);
    assertEquals(device.memory.allocatedBytes, before);
  }));

Deno.test("a buffer past the memory budget or the device's largest buffer is refused by name", async () => {
  const device = await openDevice({ budgetBytes: 1024 });
  try {
    const states = device.createStates();
    states.ensure("params", 1000);
    const budget = assertThrows(() => states.ensure("moments", 32), LimitError);
    assertEquals(budget.message, "buffer moments needs 32 but memory left of the budget of 1024 is 16");
    const largest = device.capabilities.maxBufferBytes;
    const size = assertThrows(() => states.ensure("huge", largest + 16), LimitError);
    assertEquals([size.what, size.limit, size.allowed], ["buffer huge", "maxBufferBytes", largest]);
    await assertRejects(() => device.load(counter(), states), LimitError, "buffer total needs 32");
    assertEquals(device.memory.allocatedBytes, 1008);
  } finally {
    device.destroy();
  }
});
