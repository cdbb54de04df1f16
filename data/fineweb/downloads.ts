/**
 * The parquet files of a sample on this machine: downloaded a few at a time and a few ahead of their use, and removed after
 * their tokens are on the disk.
 *
 * @module
 */
import { join } from "@std/path";
import { type BuildInput, parquetInput } from "../build/input.ts";
import { type FileSum, sumFile } from "../durable.ts";
import { DataError } from "../errors.ts";
import { fetchFile, type FetchOptions } from "../fetch_file.ts";
import { FINEWEB_COLUMN, FINEWEB_SERVER, type PublishedFile } from "./sources.ts";

/** How files are downloaded. */
export interface DownloadOptions {
  /** Where they are kept. */
  readonly folder: string;
  /** Server in place of the published one. */
  readonly mirror?: string;
  /** Downloads at once, which is also how many files may be ready ahead of their use. */
  readonly parallel: number;
  /** Leaves the files when they are not needed any more. */
  readonly keep?: boolean;
  /** Headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Told how many bytes have come in this process, over all files. */
  readonly onProgress?: (bytes: number) => void;
  /** Ends the downloads; what is there stays. */
  readonly signal?: AbortSignal;
  /** How each file is fetched. */
  readonly fetching?: Pick<FetchOptions, "attempts" | "waitMs" | "patienceMs" | "fetch">;
}

const REMEDY = "check the connection, name a --mirror, or download the files yourself and use --parquet DIR";

/**
 * Inputs that download their files.
 *
 * @throws {DataError} when the mirror is no address.
 */
export function downloadedInputs(
  files: readonly PublishedFile[],
  options: DownloadOptions,
): readonly BuildInput[] {
  const downloads = new Downloads(files, options, serverOf(options.mirror));
  return files.map(({ name, bytes, sha256 }, index) => {
    const path = join(options.folder, name);
    return parquetInput(path, FINEWEB_COLUMN, { bytes, sha256 }, {
      ready: () => downloads.need(index),
      ...!options.keep && { release: () => remove(path) },
    });
  });
}

/** Inputs from a folder that has the files already; they stay there. */
export function localInputs(files: readonly PublishedFile[], folder: string): readonly BuildInput[] {
  return files.map(({ name, bytes, sha256 }) => {
    const path = join(folder, name);
    return parquetInput(path, FINEWEB_COLUMN, { bytes, sha256 }, {
      ready: async (signal) => {
        const { size } = await Deno.stat(path).catch(() => {
          throw new DataError(path, "is missing", "leave out --parquet to download it");
        });
        if (size !== bytes) {
          throw new DataError(path, `has ${size} bytes, not ${bytes}`, "download this file again");
        }
        return await sumFile(path, signal);
      },
    });
  });
}

function serverOf(mirror = FINEWEB_SERVER): string {
  const url = URL.parse(mirror);
  if (url && /^https?:$/.test(url.protocol)) return mirror.replace(/\/+$/, "");
  throw new DataError(`--mirror ${mirror}`, "is no address on the web", `give one such as ${FINEWEB_SERVER}`);
}

class Downloads {
  readonly #begun = new Map<number, Promise<FileSum>>();
  #received = 0;

  constructor(
    private readonly files: readonly PublishedFile[],
    private readonly options: DownloadOptions,
    private readonly server: string,
  ) {}

  /** Waits for a file; the next ones begin to come. */
  async need(index: number): Promise<FileSum> {
    const { parallel } = this.options;
    this.#beginTo(index + parallel);
    const sum = await this.#begun.get(index)!;
    this.#beginTo(index + 1 + parallel);
    return sum;
  }

  #beginTo(end: number): void {
    const begun = [...this.#begun.keys()];
    const first = begun.length > 0 ? Math.max(...begun) + 1 : undefined;
    for (
      let index = first ?? end - this.options.parallel;
      index < Math.min(end, this.files.length);
      index++
    ) {
      const coming = this.#fetch(this.files[index]);
      coming.catch(() => {}); // it is thrown when the file is needed
      this.#begun.set(index, coming);
    }
  }

  async #fetch({ name, path, bytes, sha256 }: PublishedFile): Promise<FileSum> {
    const { folder, headers, signal, onProgress, fetching } = this.options;
    const target = join(folder, name);
    const kept = await keptFile(target, bytes, signal);
    if (kept && kept.sha256 === sha256) return kept;
    if (kept) await Deno.remove(target);
    let before: number | undefined;
    const file = { source: name, url: `${this.server}/${path}`, bytes, sha256, remedy: REMEDY };
    return await fetchFile(file, target, {
      headers,
      signal,
      onProgress: (now) => {
        // The first report may tell of bytes that were there before; a file that starts anew counts again.
        this.#received += Math.max(0, now - (before ?? now));
        before = now;
        onProgress?.(this.#received);
      },
      ...fetching,
    });
  }
}

async function keptFile(path: string, bytes: number, signal?: AbortSignal): Promise<FileSum | undefined> {
  try {
    return (await Deno.stat(path)).size === bytes ? await sumFile(path, signal) : { bytes: 0, sha256: "" };
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return undefined;
    throw problem;
  }
}

async function remove(path: string): Promise<void> {
  await Deno.remove(path).catch((problem) => {
    if (!(problem instanceof Deno.errors.NotFound)) throw problem;
  });
}
