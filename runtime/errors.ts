/**
 * The errors that the runtime throws, besides the compiler's `LimitError` and `BindingError`. Facts are in fields;
 * messages are one line.
 *
 * @module
 */
export { BindingError } from "../compiler/errors.ts";

/** No usable WebGPU device. */
export class DeviceError extends Error {
  /** Survives a Worker, where the class does not. */
  override readonly name = "DeviceError";
  /**
   * Joins the two into one line.
   *
   * @param problem What was found.
   * @param remedy What to install or to set.
   */
  constructor(readonly problem: string, readonly remedy: string) {
    super(`${problem}; ${remedy}`);
  }
}

/** What went wrong on the device: `lost` also means destroyed. */
export type GpuErrorKind = "validation" | "out-of-memory" | "internal" | "lost";

/** Where a device error happened, as far as it is known. */
export interface GpuErrorPlace {
  /** Name of the program that was loaded or run. */
  readonly program?: string;
  /** Name of the kernel. */
  readonly kernel?: string;
  /** Name of the buffer: a state's own, or `program.buffer`. */
  readonly buffer?: string;
}

/** An error that the device reported. The device and all that was loaded on it are of no further use. */
export class GpuError extends Error {
  /** Survives a Worker, where the class does not. */
  override readonly name = "GpuError";
  /** Name of the program that was loaded or run, when known. */
  readonly program?: string;
  /** Name of the kernel, when known. */
  readonly kernel?: string;
  /** Name of the buffer, when known. */
  readonly buffer?: string;

  /**
   * Says where, as far as it is known.
   *
   * @param kind What went wrong.
   * @param detail The device's own words, on one line.
   */
  constructor(readonly kind: GpuErrorKind, readonly detail: string, place: GpuErrorPlace = {}) {
    const where = [
      place.program && `program ${place.program}`,
      place.kernel && `kernel ${place.kernel}`,
      place.buffer && `buffer ${place.buffer}`,
    ].filter(Boolean).join(", ");
    super(`GPU error (${kind})${where && ` in ${where}`}: ${detail}`);
    this.program = place.program;
    this.kernel = place.kernel;
    this.buffer = place.buffer;
  }
}

/** A driver's message on one line, without the box drawings around quoted source. */
export function oneLine(message: string): string {
  return message.replace(/[┌│─]+/g, " ").replace(/\s+/g, " ").trim();
}
