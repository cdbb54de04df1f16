/**
 * Reports of compiled programs on disk: written by the threads that compile, read by whoever wants to see them. A program
 * is two files, `HASH.json.gz` (a `ProgramReport`) and `HASH.summary.json`; either is there whole or not at all.
 *
 * @module
 */
import { join } from "@std/path";
import { type Compilation, type ProgramReport, reportOf } from "../compiler/mod.ts";
import { exists, removeIfThere, syncFolder, writeDurably } from "./durable_files.ts";
import { writeAll } from "./safetensors.ts";

/** What a list says of a program. */
export interface ReportSummary {
  /** Equal hashes mean equal programs. */
  readonly hash: string;
  /** Name in listings. */
  readonly name: string;
  /** Number of kernels, each text once. */
  readonly kernels: number;
  /** Number of launches. */
  readonly dispatches: number;
  /** Planned memory. */
  readonly peakBytes: number;
  /** Milliseconds that it took to compile. */
  readonly compileMs: number;
  /** Who uses it: runs, or models that are served. */
  readonly usedBy: readonly string[];
  /** When it was last compiled, ISO 8601. */
  readonly compiledAt: string;
}

/** Programs that are kept; those that were compiled longest ago go first. */
const MOST_PROGRAMS = 200;
/** Who is named as a user of one program; the latest ones. */
const MOST_USERS = 20;
/** A report is built and written when what it is about has begun. */
const LATER_MS = 1500;

/** A file that is in nobody's hands after this long belongs to a thread that has died. */
const LEFT_BEHIND_MS = 3_600_000;

const TEMPORARY = ".tmp-";
const REPORT = ".json.gz";
const SUMMARY = ".summary.json";

/** A hash as the compiler makes them: also what a file may be called. */
export const PROGRAM_HASH = /^[0-9a-f]{8,64}$/;

/** Path of a program's report. */
export function reportPath(directory: string, hash: string): string {
  return join(directory, `${hash}${REPORT}`);
}

/** Mean milliseconds of a launch, by kernel. */
export type KernelTimes = Readonly<Record<string, number>>;

/** Writes reports. Nothing that goes wrong here stops a run: a report is for looking at. */
export class ProgramReports {
  readonly #waiting = new Map<string, Compilation>();
  /** By program: equal kernels of others have not been measured. */
  readonly #times = new Map<string, KernelTimes>();
  #work: Promise<void> = Promise.resolve();
  #timer?: ReturnType<typeof setTimeout>;

  /**
   * @param directory Where reports are kept; made when the first one is written.
   * @param user Who compiles: the run, or the model that is served.
   */
  constructor(private readonly directory: string, private readonly user: string) {}

  /** Takes a compilation down, to be written a little later. */
  add(compilation: Compilation): void {
    this.#waiting.set(compilation.program.hash, compilation);
    this.#schedule();
  }

  /** Takes measured times down: they become part of the reports of these programs. */
  addTimes(hashes: readonly string[], times: KernelTimes): void {
    for (const hash of hashes) this.#times.set(hash, times);
    this.#enqueue(async () => {
      for (const hash of hashes) {
        const report = await readReport(this.directory, hash);
        if (report) await this.#write(report);
      }
    });
  }

  /** Resolves when everything so far is on disk. */
  async settled(): Promise<void> {
    this.#flush();
    await this.#work;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), LATER_MS);
    Deno.unrefTimer(this.#timer);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    const compilations = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const compilation of compilations) {
      this.#enqueue(async () => {
        const { hash } = compilation.program;
        const known = await readSummary(this.directory, hash);
        const isWritten = known && await exists(reportPath(this.directory, hash));
        if (!isWritten) await this.#write(reportOf(compilation));
        await this.#summarize(compilation, known);
      });
    }
    if (compilations.length > 0) {
      this.#enqueue(() => removeOldest(this.directory));
      this.#enqueue(() => removeLeftBehind(this.directory));
    }
  }

  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch(() => {});
  }

  async #write(report: ProgramReport): Promise<void> {
    const times = this.#times.get(report.hash) ?? {};
    const dispatches = report.dispatches.map((dispatch) => {
      const ms: number | undefined = times[report.kernels[dispatch.kernel].name];
      return ms === undefined ? dispatch : { ...dispatch, ms };
    });
    const json = new Blob([JSON.stringify({ ...report, dispatches })]).stream();
    const bytes = await new Response(json.pipeThrough(new CompressionStream("gzip"))).bytes();
    await writeWhole(this.directory, `${report.hash}${REPORT}`, bytes);
  }

  async #summarize({ program }: Compilation, known: ReportSummary | undefined): Promise<void> {
    const { hash, name, kernels, dispatches, memory, compileMs } = program;
    const others = (known?.usedBy ?? []).filter((user) => user !== this.user);
    const summary: ReportSummary = {
      hash,
      name,
      kernels: kernels.length,
      dispatches: dispatches.length,
      peakBytes: memory.peakBytes,
      compileMs: Object.values(compileMs).reduce((sum, ms) => sum + ms, 0),
      usedBy: [...others, this.user].slice(-MOST_USERS),
      compiledAt: new Date().toISOString(),
    };
    const text = JSON.stringify(summary);
    await writeWhole(this.directory, `${hash}${SUMMARY}`, new TextEncoder().encode(text));
  }
}

async function writeWhole(directory: string, name: string, bytes: Uint8Array): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  const temporary = join(directory, `${TEMPORARY}${name}-${crypto.randomUUID()}`);
  try {
    await writeDurably(temporary, (file) => writeAll(file, bytes));
    await Deno.rename(temporary, join(directory, name));
    await syncFolder(directory);
  } catch (problem) {
    await removeIfThere(temporary);
    throw problem;
  }
}

/** A program's report; undefined when there is none that can be read. */
async function readReport(directory: string, hash: string): Promise<ProgramReport | undefined> {
  try {
    const bytes = await Deno.readFile(reportPath(directory, hash));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(stream).json();
  } catch {
    return undefined;
  }
}

async function readSummary(directory: string, hash: string): Promise<ReportSummary | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(join(directory, `${hash}${SUMMARY}`)));
  } catch {
    return undefined;
  }
}

/** Every program in a directory, the latest first. A directory that is not there has none. */
export async function listReports(directory: string): Promise<ReportSummary[]> {
  const hashes: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      if (name.endsWith(SUMMARY) && !name.startsWith(".")) hashes.push(name.slice(0, -SUMMARY.length));
    }
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return [];
    throw problem;
  }
  const summaries = await Promise.all(hashes.map((hash) => readSummary(directory, hash)));
  return summaries.filter((summary) => summary !== undefined)
    .sort((a, b) => a.compiledAt < b.compiledAt ? 1 : -1);
}

async function removeOldest(directory: string): Promise<void> {
  for (const { hash } of (await listReports(directory)).slice(MOST_PROGRAMS)) {
    await removeIfThere(join(directory, `${hash}${SUMMARY}`));
    await removeIfThere(reportPath(directory, hash));
  }
}

/** Removes what a thread that died while it wrote has left: half a file, or a report that no list names. */
async function removeLeftBehind(directory: string): Promise<void> {
  const names = new Set<string>();
  for await (const { name } of Deno.readDir(directory)) names.add(name);
  for (const name of names) {
    const isUnlisted = name.endsWith(REPORT) && !names.has(`${name.slice(0, -REPORT.length)}${SUMMARY}`);
    if (!name.startsWith(TEMPORARY) && !isUnlisted) continue;
    const path = join(directory, name);
    const { mtime } = await Deno.stat(path);
    if (mtime && Date.now() - mtime.getTime() > LEFT_BEHIND_MS) await removeIfThere(path);
  }
}
