/**
 * Goes through a program kernel by kernel: takes what a kernel is given, runs it, and takes what it stored, in every place,
 * and what it changed besides.
 *
 * @module
 */
import type { IsolatedKernel, Place } from "../../compiler/isolate.ts";
import type { LoadedProgram } from "../../runtime/mod.ts";
import { poison, readPlaces } from "../../runtime/values_at.ts";

/** Values by node, as `%12`. */
export type NamedValues = Record<string, Float64Array>;

/** Memory that a kernel changed where it stores nothing. */
export interface Stray {
  /** The buffer. */
  readonly buffer: string;
  /** First byte that was changed. */
  readonly offset: number;
  /** Words of four bytes that were changed, in all. */
  readonly words: number;
}

/** What one kernel did. */
export interface KernelRun {
  /** What it was given. */
  readonly given: NamedValues;
  /** What it stored: once for each place that a value goes to. */
  readonly stored: readonly NamedValues[];
  /** What it changed besides; absent where that is nothing. */
  readonly stray?: Stray;
}

/** Larger ranges are not watched for changes. */
const WATCHED_BYTES = 16 * 2 ** 20;
const WORD = 4;

/** Memory that a kernel can write, and which of its words it should. */
interface Watched {
  /** Its words. */
  readonly place: Place;
  /** One for each word: 1 where a value is stored. */
  readonly stored: Uint8Array;
}

/** Goes through a program's dispatches, stopping at the kernels of interest. */
export class Walk {
  #next = 0;
  /** What the next kernel will find, where that is known: a readback is dear, whatever it brings. */
  #before?: readonly Float64Array[];

  /** At the beginning of a program whose inputs were uploaded. */
  constructor(readonly loaded: LoadedProgram) {}

  /**
   * Runs everything before a kernel, and the kernel.
   *
   * @param next The kernel with which this will be called again.
   * @throws {GpuError} when the device fails.
   */
  async run(kernel: IsolatedKernel, next?: IsolatedKernel): Promise<KernelRun> {
    const { loaded } = this;
    const { launches: [first, end], loads, stores } = kernel;
    if (this.#next < first) await loaded.runSome(this.#next, first);
    const read = loads.map(({ places }) => places[0]);
    const watched = watchedBy(loaded, kernel);
    const before = this.#before ?? await readPlaces(loaded, [...read, ...placesOf(watched)]);
    const written = stores.flatMap(({ places }) => places);
    for (const place of written) if (!read.some((other) => overlaps(place, other))) poison(loaded, place);
    await loaded.runSome(first, end);
    this.#next = end;
    const most = Math.max(...stores.map(({ places }) => places.length));
    const copies = Array.from(
      { length: most },
      (_, copy) => stores.map(({ places }) => places[Math.min(copy, places.length - 1)]),
    );
    const after = [...copies.flat(), ...placesOf(watched)];
    const ahead = next?.launches[0] === end
      ? [...next.loads.map(({ places }) => places[0]), ...placesOf(watchedBy(loaded, next))]
      : undefined;
    const values = await readPlaces(loaded, [...after, ...ahead ?? []]);
    this.#before = ahead && values.slice(after.length);
    const stray = strayOf(loaded, watched, before.slice(read.length), values.slice(copies.flat().length));
    return {
      given: Object.fromEntries(loads.map(({ name }, i) => [name, before[i]])),
      stored: copies.map((_, copy) =>
        Object.fromEntries(stores.map(({ name }, i) => [name, values[copy * stores.length + i]]))
      ),
      ...stray && { stray },
    };
  }

  /** Runs what is left. */
  async finish(): Promise<void> {
    const { length } = this.loaded.launches;
    if (this.#next < length) await this.loaded.runSome(this.#next, length);
  }
}

function overlaps(a: Place, b: Place): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

function placesOf(watched: readonly Watched[]): Place[] {
  return watched.map(({ place }) => place);
}

/** The ranges that a kernel may write, apart from those of which it stores every word. */
function watchedBy(
  { program }: LoadedProgram,
  { launches: [first, end], stores }: IsolatedKernel,
): Watched[] {
  const watched = new Map<string, Watched>();
  for (const { kernel, ranges } of program.dispatches.slice(first, end)) {
    const { bindings } = program.kernels[kernel];
    for (const [i, { buffer, offset, size }] of ranges.entries()) {
      const key = `${buffer} ${offset} ${size}`;
      if (bindings[i] !== "read_write" || size > WATCHED_BYTES || watched.has(key)) continue;
      const place: Place = { buffer, offset, bytes: size, dtype: "u32", elements: size / WORD };
      const stored = new Uint8Array(place.elements);
      for (const own of stores.flatMap(({ places }) => places)) {
        if (overlaps(own, place)) mark(own, place, stored);
      }
      if (stored.includes(0)) watched.set(key, { place, stored });
    }
  }
  return [...watched.values()];
}

/** Marks the words of `place` that hold elements of `own`. */
function mark(own: Place, place: Place, words: Uint8Array): void {
  const shift = (own.offset - place.offset) / WORD;
  if (!own.at) {
    words.fill(1, Math.max(0, shift), Math.max(0, shift + own.bytes / WORD));
    return;
  }
  const perWord = own.dtype === "f16" || own.dtype === "bf16" ? 2 : 1;
  for (const element of own.at) {
    const word = shift + Math.floor(element / perWord);
    if (word >= 0 && word < words.length) words[word] = 1;
  }
}

function strayOf(
  { program }: LoadedProgram,
  watched: readonly Watched[],
  before: readonly Float64Array[],
  after: readonly Float64Array[],
): Stray | undefined {
  for (const [i, { place, stored }] of watched.entries()) {
    let [first, words] = [-1, 0];
    for (let word = 0; word < stored.length; word++) {
      if (stored[word] === 1 || before[i][word] === after[i][word]) continue;
      if (first < 0) first = word;
      words++;
    }
    if (words > 0) {
      return { buffer: program.buffers[place.buffer].name, offset: place.offset + first * WORD, words };
    }
  }
  return undefined;
}
