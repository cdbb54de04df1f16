/**
 * The compiler's programs as HTTP offers them: the files that Workers have written, handed on as they are.
 *
 * @module
 */
import { listReports, PROGRAM_HASH, reportPath } from "../../model/program_reports.ts";
import type { ProgramService, ProgramSummary } from "../services.ts";

/** Reports in a directory. */
export class ProgramFiles implements ProgramService {
  /** @param directory Where Workers write them. */
  constructor(private readonly directory: string) {}

  /** The latest first. */
  list(): Promise<readonly ProgramSummary[]> {
    return listReports(this.directory);
  }

  /** A report as gzip'd JSON; undefined when there is none. */
  async get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (!PROGRAM_HASH.test(hash)) return undefined;
    try {
      return await Deno.readFile(reportPath(this.directory, hash));
    } catch (problem) {
      if (problem instanceof Deno.errors.NotFound) return undefined;
      throw problem;
    }
  }
}
