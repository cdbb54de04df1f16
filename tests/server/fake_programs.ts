/**
 * One program that was never compiled.
 *
 * @module
 */
import type { ProgramService, ProgramSummary } from "../../server/services.ts";

/** Its short form. */
const SUMMARY: ProgramSummary = {
  hash: "0123456789abcdef",
  name: "train",
  kernels: 3,
  dispatches: 5,
  peakBytes: 4096,
  compileMs: 12,
  usedBy: ["first"],
};

const REPORT = {
  ...SUMMARY,
  stages: { graph: "%0: f32[] = constant", groups: "group 0" },
  groups: [],
  kernels: [{
    name: "row_17",
    ir: "kernel row",
    wgsl: "fn row_17() {}",
    workgroupSize: [64, 1, 1],
    bindings: [],
  }],
  dispatches: [{ kernel: 0, group: 0, bytes: 8, flops: 1, workgroups: [1, 1, 1], reads: [], writes: [] }],
};

/** JSON as a service of programs gives it. */
export async function gzipped(value: unknown): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([JSON.stringify(value)]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

/** Knows one program. */
export class FakePrograms implements ProgramService {
  list(): Promise<readonly ProgramSummary[]> {
    return Promise.resolve([SUMMARY]);
  }

  async get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return hash === SUMMARY.hash ? await gzipped(REPORT) : undefined;
  }
}
