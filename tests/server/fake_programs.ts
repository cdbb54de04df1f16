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

/** Knows one program. */
export class FakePrograms implements ProgramService {
  list(): Promise<readonly ProgramSummary[]> {
    return Promise.resolve([SUMMARY]);
  }

  get(hash: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    return Promise.resolve(hash === SUMMARY.hash ? { ...SUMMARY, graph: "", wgsl: [] } : undefined);
  }
}
