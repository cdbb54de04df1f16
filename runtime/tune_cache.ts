/**
 * Schedules that were measured, on disk: one JSON file for each adapter, driver, version of Deno and of the templates, so
 * that a change of any of them begins anew and two of them never mix. Kernels are known by their keys.
 *
 * A file that cannot be read is as good as none, with one warning; it is written under another name and renamed, so that
 * processes that tune at the same time cannot tear it. What another process has added meanwhile stays.
 *
 * @module
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { hashText } from "../compiler/hash.ts";
import { type Schedule, type ScheduleLookup, TEMPLATE_VERSION } from "../compiler/wgsl/template.ts";
import type { GpuDevice } from "./device.ts";
import { getVariable } from "./variables.ts";

/** Folder of the files, in place of the repository's `.cache/tune`. */
export const TUNE_VARIABLE = "SINTER_TUNE_CACHE";

const HERE = new URL("../.cache/tune", import.meta.url);
const FORMAT = "sinter-schedules-1";

/** What is known of one kernel. */
export interface TuningEntry {
  /** The fastest schedule so far. */
  readonly schedule: Schedule;
  /** How many others it was compared with; 0 for a kernel that was too small, or for which no time was left. */
  readonly trials: number;
  /** Milliseconds of a dispatch before, if it was timed. */
  readonly beforeMs?: number;
  /** And under `schedule`. */
  readonly afterMs?: number;
}

/** The measured schedules of one device. */
export class TuningCache {
  readonly #entries: Map<string, TuningEntry>;
  #changed = new Set<string>();

  private constructor(
    /** The file; `undefined` for a cache that is kept in memory only. */
    readonly path: string | undefined,
    private readonly device: Readonly<Record<string, unknown>>,
    entries: Iterable<readonly [string, TuningEntry]>,
    private readonly warn: (line: string) => void,
  ) {
    this.#entries = new Map(entries);
  }

  /** A cache without a file. */
  static inMemory(): TuningCache {
    return new TuningCache(undefined, {}, [], () => {});
  }

  /**
   * Opens the file of a device. Never rejects: without a file, or with one that cannot be read, it is empty.
   *
   * @param options.folder Where the files lie; the variable {@link TUNE_VARIABLE} or the repository's `.cache/tune` by
   * default.
   * @param options.warn Takes one line when the file cannot be read or written; standard error by default.
   */
  static async open(
    { info, capabilities }: Pick<GpuDevice, "info" | "capabilities">,
    { folder = defaultFolder(), warn = console.error }: {
      readonly folder?: string;
      readonly warn?: (line: string) => void;
    } = {},
  ): Promise<TuningCache> {
    const device = {
      adapter: info.description,
      backend: info.backend,
      deno: Deno.version.deno,
      templates: TEMPLATE_VERSION,
      capabilities,
    };
    if (folder === undefined) return new TuningCache(undefined, device, [], warn);
    const slug = info.description.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(
      0,
      60,
    );
    const path = join(folder, `${slug}-${hashText(JSON.stringify(device)).slice(0, 8)}.json`);
    return new TuningCache(path, device, await readEntries(path, warn), warn);
  }

  /** What is known of a kernel. */
  get(key: string): TuningEntry | undefined {
    return this.#entries.get(key);
  }

  /** Notes what was found; {@link save} writes it. */
  set(key: string, entry: TuningEntry): void {
    this.#entries.set(key, entry);
    this.#changed.add(key);
  }

  /** Kernels that are known. */
  get size(): number {
    return this.#entries.size;
  }

  /** For `compileGraph`. */
  get lookup(): ScheduleLookup {
    return (key) => this.#entries.get(key)?.schedule;
  }

  /** Writes what is new, and keeps what other processes have written since. A disk that refuses is only warned of. */
  async save(): Promise<void> {
    const { path } = this;
    if (path === undefined || this.#changed.size === 0) return;
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
      // The system gives the lock back when this process ends, however it does.
      using lock = await Deno.open(`${path}.lock`, { write: true, create: true });
      await lock.lock(true);
      for (const [key, entry] of await readEntries(path, () => {})) {
        if (!this.#changed.has(key)) this.#entries.set(key, entry);
      }
      const entries = Object.fromEntries([...this.#entries].sort(([a], [b]) => a < b ? -1 : 1));
      await writeWhole(
        path,
        JSON.stringify({ format: FORMAT, device: this.device, entries }, null, 1) + "\n",
      );
      this.#changed = new Set();
    } catch (problem) {
      this.warn(`the schedules that were measured could not be kept in ${path}: ${messageOf(problem)}`);
    }
  }
}

function defaultFolder(): string | undefined {
  return getVariable(TUNE_VARIABLE) || (HERE.protocol === "file:" ? fromFileUrl(HERE) : undefined);
}

async function readEntries(
  path: string,
  warn: (line: string) => void,
): Promise<[string, TuningEntry][]> {
  try {
    const { format, entries } = JSON.parse(await Deno.readTextFile(path));
    const pairs = Object.entries(entries);
    if (format !== FORMAT || !pairs.every(isEntry)) throw new Error(`it is not of format ${FORMAT}`);
    return pairs as [string, TuningEntry][];
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound)) {
      warn(`${path} is ignored and will be written anew: ${messageOf(problem)}`);
    }
    return [];
  }
}

function isEntry([, value]: [string, unknown]): boolean {
  const { schedule, trials } = (value ?? {}) as Partial<TuningEntry>;
  return typeof schedule?.kind === "string" && typeof trials === "number";
}

async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${Deno.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true });
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.sync();
    }
    await Deno.rename(temporary, path);
  } catch (problem) {
    await Deno.remove(temporary).catch(() => {});
    throw problem;
  }
}

function messageOf(problem: unknown): string {
  return problem instanceof Error ? problem.message.split("\n")[0] : String(problem);
}
