/**
 * Goes through a program kernel by kernel: takes what a kernel is given, runs it, and takes what it stored, in every place,
 * and what it changed besides.
 *
 * @module
 */
import type { IsolatedKernel, Place } from "../../compiler/isolate.ts";
import type { LoadedProgram } from "../../runtime/mod.ts";
import { Gathering, poison, readPlaces } from "../../runtime/values_at.ts";

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

/** What to read of a kernel, and its values as far as they are known. */
interface Stop {
  readonly kernel: IsolatedKernel;
  readonly watched: readonly Watched[];
  readonly before: readonly Place[];
  readonly after: readonly Place[];
}

/**
 * Runs a whole program, once, and gives what the kernels of interest did. They have to come in the order of execution; a
 * kernel that is given may have run long ago.
 *
 * @param loaded A program whose inputs were uploaded.
 * @throws {GpuError} when the device fails.
 */
export async function* walk(
  loaded: LoadedProgram,
  kernels: Iterable<IsolatedKernel>,
): AsyncGenerator<readonly [IsolatedKernel, KernelRun]> {
  using gathering = new Gathering(loaded);
  let gathered: Stop[] = [];
  let next = 0;
  const collect = async () => {
    const values = await gathering.read();
    const done = gathered;
    gathered = [];
    return done.map((stop) => {
      const before = values.splice(0, stop.before.length);
      const after = values.splice(0, stop.after.length);
      return [stop.kernel, runOf(loaded, stop, before, after)] as const;
    });
  };
  for (const kernel of kernels) {
    const stop = stopAt(loaded, kernel);
    const all = [...stop.before, ...stop.after];
    if (!gathering.hasRoomFor(all)) yield* await collect();
    const fits = gathering.hasRoomFor(all);
    const [first, end] = kernel.launches;
    if (next < first) await loaded.runSome(next, first);
    next = end;
    if (fits) gathering.add(stop.before);
    const before = fits ? [] : await readPlaces(loaded, stop.before);
    poisonStores(loaded, kernel);
    await loaded.runSome(first, end);
    if (!fits) {
      yield [kernel, runOf(loaded, stop, before, await readPlaces(loaded, stop.after))];
      continue;
    }
    gathering.add(stop.after);
    gathered.push(stop);
  }
  yield* await collect();
  if (next < loaded.launches.length) await loaded.runSome(next, loaded.launches.length);
}

/** What a kernel is given and stores, and what it could change besides. */
function stopAt(loaded: LoadedProgram, kernel: IsolatedKernel): Stop {
  const watched = watchedBy(loaded, kernel);
  const others = watched.map(({ place }) => place);
  return {
    kernel,
    watched,
    before: [...kernel.loads.map(({ places }) => places[0]), ...others],
    after: [...copiesOf(kernel).flat(), ...others],
  };
}

/** Where the stored values lie: of each value the first place, then of each the second, and so on, or the last again. */
function copiesOf({ stores }: IsolatedKernel): Place[][] {
  const most = Math.max(...stores.map(({ places }) => places.length));
  return Array.from(
    { length: most },
    (_, copy) => stores.map(({ places }) => places[Math.min(copy, places.length - 1)]),
  );
}

function poisonStores(loaded: LoadedProgram, { loads, stores }: IsolatedKernel): void {
  const read = loads.flatMap(({ places }) => places);
  for (const place of stores.flatMap(({ places }) => places)) {
    if (!read.some((other) => overlaps(place, other))) poison(loaded, place);
  }
}

function runOf(
  loaded: LoadedProgram,
  { kernel, watched }: Stop,
  before: readonly Float64Array[],
  after: readonly Float64Array[],
): KernelRun {
  const { loads, stores } = kernel;
  const copies = copiesOf(kernel);
  const stray = strayOf(loaded, watched, before.slice(loads.length), after.slice(copies.flat().length));
  return {
    given: Object.fromEntries(loads.map(({ name }, i) => [name, before[i]])),
    stored: copies.map((_, copy) =>
      Object.fromEntries(stores.map(({ name }, i) => [name, after[copy * stores.length + i]]))
    ),
    ...stray && { stray },
  };
}

function overlaps(a: Place, b: Place): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
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
