/**
 * Holds a program against the device that is to run it. The compiler planned within the same record; this check is for
 * programs that were compiled for another device, and for limits that Deno reports late (grids) or never (workgroup
 * memory, loop iterations).
 *
 * @module
 */
import type { Capabilities } from "../compiler/capabilities.ts";
import { InternalError, LimitError } from "../compiler/errors.ts";
import type { Dispatch, KernelSource, Program } from "../compiler/program.ts";

/**
 * Checks every buffer, kernel and dispatch.
 *
 * @throws {LimitError} naming what is too large, the limit, and both numbers.
 * @throws {InternalError} when the program contradicts itself, such as a range past its buffer's end.
 */
export function checkProgram(program: Program, target: Capabilities): void {
  for (const { name, bytes } of program.buffers) {
    require(`buffer ${name}`, "maxBufferBytes", bytes, target.maxBufferBytes);
  }
  for (const kernel of program.kernels) checkKernel(kernel, target);
  for (const dispatch of program.dispatches) checkDispatch(program, dispatch, target);
}

function require(what: string, limit: string, needed: number, allowed: number): void {
  if (needed > allowed) throw new LimitError(what, limit, needed, allowed);
}

function checkKernel(kernel: KernelSource, target: Capabilities): void {
  const what = `kernel ${kernel.name}`;
  const storage = kernel.bindings.filter((binding) => binding !== "uniform").length;
  const invocations = kernel.workgroupSize.reduce((product, size) => product * size, 1);
  require(what, "maxStorageBuffers", storage, target.maxStorageBuffers);
  require(what, "maxInvocations", invocations, target.maxInvocations);
  require(what, "maxWorkgroupBytes", kernel.workgroupBytes, target.maxWorkgroupBytes);
  require(what, "maxLoopIterations", kernel.loopIterations, target.maxLoopIterations);
}

function checkDispatch(program: Program, dispatch: Dispatch, target: Capabilities): void {
  const kernel = program.kernels[dispatch.kernel];
  if (!kernel) {
    throw new InternalError(
      `program ${program.name} dispatches kernel ${dispatch.kernel}, which is not there`,
    );
  }
  const what = `kernel ${kernel.name}`;
  if (dispatch.ranges.length !== kernel.bindings.length) {
    throw new InternalError(
      `${what} has ${kernel.bindings.length} bindings but ${dispatch.ranges.length} ranges`,
    );
  }
  for (const count of dispatch.workgroups) require(what, "maxWorkgroups", count, target.maxWorkgroups);
  dispatch.ranges.forEach(({ buffer, offset, size }, binding) => {
    const plan = program.buffers[buffer];
    const range = `${what}, binding ${binding}`;
    if (!plan || offset + size > plan.bytes) {
      throw new InternalError(
        `${range}: bytes ${offset} to ${offset + size} are outside buffer ${plan?.name ?? buffer}`,
      );
    }
    if (kernel.bindings[binding] === "uniform") return;
    require(`${range} (buffer ${plan.name})`, "maxBindingBytes", size, target.maxBindingBytes);
    if (offset % target.bindingAlignment !== 0) {
      throw new InternalError(`${range}: offset ${offset} is no multiple of ${target.bindingAlignment}`);
    }
  });
}
