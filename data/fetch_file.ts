/**
 * Downloads of large files over bad lines: resumed where they broke off, tried again after a while, checked, and only then given
 * their name. What is there of a file lies beside it as `NAME.part`, also when the process is killed.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import { dirname } from "@std/path";
import { type FileSum, sumOpenFile, syncFolder } from "./durable.ts";
import { DataError } from "./errors.ts";

/** A file that can be downloaded. */
export interface RemoteFile {
  /** What a user calls it, for messages. */
  readonly source: string;
  /** Where it is. */
  readonly url: string;
  /** Its size, where it is known beforehand. */
  readonly bytes?: number;
  /** Its checksum in lower-case hexadecimal, where it is known beforehand. */
  readonly sha256?: string;
  /** What to do when it cannot be had. */
  readonly remedy: string;
}

/** How a file is downloaded. */
export interface FetchOptions {
  /** Headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Told from time to time how many bytes there are; `total` when it is known. */
  readonly onProgress?: (bytes: number, total?: number) => void;
  /** Ends the download; what is there stays. */
  readonly signal?: AbortSignal;
  /** In place of the platform's. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Attempts in a row that may bring nothing before it is given up; 6 by default. */
  readonly attempts?: number;
  /** Wait after the first attempt that brought nothing, in milliseconds; it doubles each time. */
  readonly waitMs?: number;
  /** A connection on which nothing comes for so long is given up, in milliseconds. */
  readonly patienceMs?: number;
}

/** What came of a download. */
export type FetchedFile = FileSum;

const MOST_WAIT_MS = 60_000;
/** A wrong file is asked for once more: the part that was there may have been of another version. */
const WRONG_FILES = 2;

/** An attempt that failed and may be followed by another. */
class Setback extends Error {
  constructor(message: string, readonly waitMs?: number) {
    super(message);
  }
}

/**
 * Downloads a file to `path`.
 *
 * @returns Size and checksum.
 * @throws {DataError} when it cannot be had, or is another file than expected. What is there of it stays for the next attempt.
 */
export async function fetchFile(
  file: RemoteFile,
  path: string,
  options: FetchOptions = {},
): Promise<FetchedFile> {
  const partial = `${path}.part`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    using part = await Deno.open(partial, { create: true, read: true, write: true });
    await part.lock(true);
    // Somebody else who had the lock has given the part its name meanwhile.
    if (!await isSame(part, partial)) {
      const found = await existing(file, path);
      return found ?? await fetchFile(file, path, options);
    }
    const fetched = await fetchInto(part, file, options);
    await part.sync();
    await Deno.rename(partial, path);
    await syncFolder(dirname(path));
    return fetched;
  } catch (problem) {
    await removeIfEmpty(partial);
    if (problem instanceof DataError || options.signal?.aborted) throw problem;
    const remedy = "make room there, or choose a folder that can be written to";
    throw new DataError(file.source, `${path} cannot be written (${describe(problem)})`, remedy);
  }
}

/** What is at `path`, if that is the file that was asked for. */
async function existing({ bytes, sha256 }: RemoteFile, path: string): Promise<FetchedFile | undefined> {
  try {
    using file = await Deno.open(path);
    const found = await sumOpenFile(file);
    return (bytes ?? found.bytes) === found.bytes && (sha256 ?? found.sha256) === found.sha256
      ? found
      : undefined;
  } catch {
    return undefined;
  }
}

/** Whether an open file is still the one of that name. */
async function isSame(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    return (await file.stat()).ino === (await Deno.stat(path)).ino;
  } catch {
    return false;
  }
}

async function removeIfEmpty(path: string): Promise<void> {
  try {
    if ((await Deno.stat(path)).size === 0) await Deno.remove(path);
  } catch {
    // it is not there, or stays
  }
}

async function fetchInto(part: Deno.FsFile, file: RemoteFile, options: FetchOptions): Promise<FetchedFile> {
  for (let wrong = 1;; wrong++) {
    await fetchAll(part, file, options);
    const found = await sumOpenFile(part);
    const { bytes = found.bytes, sha256 = found.sha256 } = file;
    if (found.bytes === bytes && found.sha256 === sha256) return found;
    await part.truncate(0);
    if (wrong < WRONG_FILES) continue;
    const what = found.bytes === bytes ? "another checksum" : `${found.bytes} bytes`;
    throw new DataError(
      file.source,
      `the download has ${what}, expected ${bytes} bytes of a known file`,
      file.remedy,
    );
  }
}

/** Until the server says that there is no more. */
async function fetchAll(part: Deno.FsFile, file: RemoteFile, options: FetchOptions): Promise<void> {
  const { attempts = 6, waitMs = 500, signal } = options;
  let wait = waitMs;
  for (let failed = 0;;) {
    if (await sizeOf(part) > (file.bytes ?? Infinity)) await part.truncate(0);
    const before = await sizeOf(part);
    if (before === file.bytes) return;
    try {
      return await fetchRest(part, before, file, options);
    } catch (problem) {
      signal?.throwIfAborted();
      if (!(problem instanceof Setback)) throw problem;
      if (await sizeOf(part) > before) [failed, wait] = [0, waitMs];
      else if (++failed >= attempts) {
        throw new DataError(file.source, `could not be downloaded (${problem.message})`, file.remedy);
      }
      await delay(problem.waitMs ?? wait * (0.5 + Math.random()), { signal });
      wait = Math.min(2 * wait, MOST_WAIT_MS);
    }
  }
}

async function fetchRest(
  part: Deno.FsFile,
  before: number,
  file: RemoteFile,
  { headers, fetch: request = fetch, signal, onProgress, patienceMs = 60_000 }: FetchOptions,
): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), patienceMs);
  const signals = [silence.signal, ...signal ? [signal] : []];
  try {
    const range: Record<string, string> = before > 0 ? { range: `bytes=${before}-` } : {};
    // A compressed answer has other offsets than the file.
    const init = {
      headers: { "accept-encoding": "identity", ...headers, ...range },
      signal: AbortSignal.any(signals),
    };
    const response = await request(file.url, init);
    const { start, total } = await begin(response, before, part, file);
    const expected = file.bytes ?? total;
    let at = await part.seek(start, Deno.SeekMode.Start);
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), patienceMs);
      if (expected !== undefined && at + chunk.length > expected) {
        await part.truncate(0);
        throw new Setback(`the server sends more than ${expected} bytes`);
      }
      for (let done = 0; done < chunk.length;) done += await part.write(chunk.subarray(done));
      at += chunk.length;
      onProgress?.(at, expected);
    }
    // What the server says is all may be less than it should be: that is another file, not a short one.
    if (expected === undefined || at >= expected || at === total) return;
    throw new Setback(`the connection ended after ${at} of ${expected} bytes`);
  } catch (problem) {
    if (problem instanceof Setback || problem instanceof DataError || isFileProblem(problem)) throw problem;
    throw new Setback(silence.signal.aborted ? "the server has stopped answering" : describe(problem));
  } finally {
    clearTimeout(timer);
  }
}

/** Where an answer's bytes belong. */
async function begin(
  response: Response,
  before: number,
  part: Deno.FsFile,
  { source, remedy }: RemoteFile,
): Promise<{ start: number; total?: number }> {
  const { status, headers } = response;
  if (status === 206) {
    const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "");
    if (match && Number(match[1]) === before) return { start: before, total: Number(match[2]) };
    await response.body?.cancel();
    await part.truncate(0);
    throw new Setback(`the server answered with another range (${headers.get("content-range")})`, 0);
  }
  if (status === 200) {
    await part.truncate(0); // it knows no ranges
    const length = headers.get("content-length");
    return { start: 0, ...length !== null && { total: Number(length) } };
  }
  await response.body?.cancel();
  if (status === 416) {
    const total = Number(/^bytes \*\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1]);
    if (total === before) return { start: before, total };
    await part.truncate(0);
    throw new Setback("the server has a shorter file than the part that is here", 0);
  }
  const problem = `the server answered ${status}`;
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    throw new Setback(problem, retryAfter(headers.get("retry-after")));
  }
  throw new DataError(source, `could not be downloaded (${problem})`, remedy);
}

/** Milliseconds that a server asks for, as a number of seconds or a date; undefined when it does not. */
function retryAfter(text: string | null): number | undefined {
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(MOST_WAIT_MS, Math.max(0, ms));
}

async function sizeOf(file: Deno.FsFile): Promise<number> {
  return (await file.stat()).size;
}

/** What the file system refuses, as opposed to a connection. */
function isFileProblem(problem: unknown): boolean {
  return /os error (13|21|27|28|30|122)\b|No space left/.test(String(problem));
}

function describe(problem: unknown): string {
  return (problem instanceof Error ? problem.message : String(problem)).split("\n")[0];
}
