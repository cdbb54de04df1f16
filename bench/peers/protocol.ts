/**
 * What a peer's program and `run.ts` say to each other: one JSON object a line on the program's standard output, each
 * the result of one case. A line that is not such an object is the library's own talk and is passed over.
 *
 * @module
 */

/** Libraries that Sinter is measured against; `jax-wasm` is jax-js on its WebAssembly backend. */
export const PEER_NAMES = ["jax", "tfjs", "jax-wasm"] as const;

/** Name of a peer. */
export type PeerName = (typeof PEER_NAMES)[number];

/** Milliseconds over the repeats. */
export interface PeerSpread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** One case on one peer: a time, or the reason why there is none. */
export interface PeerResult {
  readonly peer: PeerName;
  /** What ran the kernels: "webgpu" or "wasm". */
  readonly backend: string;
  /** The library's version. */
  readonly version: string;
  /** Name of the case, as in `cases.ts`. */
  readonly case: string;
  /** Time of one run, warm-up excluded. Also present beside `error` when a program ran to its end with wrong numbers. */
  readonly ms?: PeerSpread;
  /** Time of the first run, tracing and the driver's compiling included. */
  readonly firstMs?: number;
  /** 2·M·N·K floating-point operations over the median time, for products. */
  readonly gflops?: number;
  /** For training steps. */
  readonly tokensPerSecond?: number;
  /** Loss of each step, warm-up first; null where it is no number, which JSON cannot say. */
  readonly losses?: readonly (number | null)[];
  /** Norm of all gradients together at the first step, before clipping; null where it is no number. */
  readonly norm?: number | null;
  /** Compute dispatches of one run. */
  readonly dispatches?: number;
  /** Most bytes of GPU buffers alive at once. */
  readonly peakBytes?: number;
  /** Memory that the whole process holds when the case is done: on a software adapter, the GPU's is in it. */
  readonly residentBytes?: number;
  /** Why the numbers must not be used: a crash, a limit exceeded, a WebGPU error, or a wrong answer. */
  readonly error?: string;
}

/** Reads one line of a peer program's output; undefined when it is not a result. */
export function parseResultLine(line: string): PeerResult | undefined {
  if (!line.startsWith("{")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  return isResult(value) ? value : undefined;
}

function isResult(value: unknown): value is PeerResult {
  if (typeof value !== "object" || value === null) return false;
  const { peer, backend, version, case: name, ms, error } = value as Partial<
    Record<keyof PeerResult, unknown>
  >;
  return (PEER_NAMES as readonly unknown[]).includes(peer) && typeof backend === "string" &&
    typeof version === "string" && typeof name === "string" && (isSpread(ms) || typeof error === "string");
}

function isSpread(value: unknown): value is PeerSpread {
  if (typeof value !== "object" || value === null) return false;
  const { min, median, max } = value as Partial<Record<keyof PeerSpread, unknown>>;
  return [min, median, max].every((time) => typeof time === "number" && time >= 0);
}
