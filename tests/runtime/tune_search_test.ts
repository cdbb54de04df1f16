/**
 * The tuner's search against a measurer that is a formula, and its file on a real disk: nothing here needs a device.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { LAVAPIPE } from "../../compiler/mod.ts";
import type { Schedule } from "../../compiler/wgsl/template.ts";
import { matmulCandidates } from "../../compiler/wgsl/matmul.ts";
import { TuningCache } from "../../runtime/tune_cache.ts";
import { distance, searchSchedules, type Verdict } from "../../runtime/tune_search.ts";

interface Tile extends Schedule {
  readonly rows: number;
  readonly cols: number;
}

const tile = (rows: number, cols: number, kind = "tile"): Tile => ({ kind, rows, cols });

/** 4 to 64 rows and columns in doublings, from 16 x 16. */
const TILES = [
  tile(16, 16),
  ...[4, 8, 16, 32, 64].flatMap((rows) => [4, 8, 16, 32, 64].map((cols) => tile(rows, cols)))
    .filter(({ rows, cols }) => rows !== 16 || cols !== 16),
];

/** Compares by a formula; keeps what was asked. */
function measurer(ms: (tile: Tile) => number | string) {
  const asked: Tile[] = [];
  const compare = (challenger: Schedule, best: Schedule): Promise<Verdict> => {
    asked.push(challenger as Tile);
    const time = ms(challenger as Tile);
    return Promise.resolve(
      typeof time === "string"
        ? { kind: "rejected", reason: time }
        : { kind: "timed", challengerMs: time, bestMs: ms(best as Tile) as number },
    );
  };
  return { asked, compare };
}

const always = () => true;
/** Best at 64 x 8, and worse with each doubling away from it. */
const valley = ({ rows, cols }: Tile) => 1 + Math.abs(Math.log2(rows / 64)) + Math.abs(Math.log2(cols / 8));

Deno.test("the search walks downhill to the fastest schedule, and does not need all of them", async () => {
  const { asked, compare } = measurer(valley);
  let trials = 0;
  const found = await searchSchedules({ candidates: TILES, compare, mayGoOn: () => trials++ < 12 });
  assertEquals(found.best, tile(64, 8));
  assertEquals(found.ratio, valley(tile(64, 8)) / valley(tile(16, 16)));
  assertEquals(found.trials, 12);
  assertEquals(asked.length, 13, "12 trials and one comparison of the winner with the first");
});

Deno.test("the search tries everything when time allows, and nothing twice", async () => {
  const { asked, compare } = measurer(() => 1);
  const found = await searchSchedules({ candidates: TILES, compare, mayGoOn: always });
  assertEquals(found.best, TILES[0]);
  assertEquals(found.ratio, 1);
  assertEquals(new Set(asked.map(({ rows, cols }) => `${rows}x${cols}`)).size, TILES.length - 1);
  assertEquals(asked.length, TILES.length - 1);
});

Deno.test("a challenger that is faster by no more than noise does not win", async () => {
  const { compare } = measurer(({ rows }) => rows === 16 ? 1 : 0.98);
  assertEquals((await searchSchedules({ candidates: TILES, compare, mayGoOn: always })).best, TILES[0]);
});

Deno.test("a winner that is no faster than the first schedule when asked again does not win", async () => {
  let calls = 0;
  const compare = (): Promise<Verdict> =>
    Promise.resolve({ kind: "timed", challengerMs: calls++ === 0 ? 0.5 : 1.1, bestMs: 1 });
  const found = await searchSchedules({ candidates: TILES, compare, mayGoOn: always });
  assertEquals(found.best, TILES[0]);
  assertEquals(found.ratio, 1);
});

Deno.test("a schedule with wrong results is rejected with its reason, however fast", async () => {
  const { compare } = measurer(({ rows }) => rows === 64 ? "element 3 is 0 instead of 1" : 2 - rows / 64);
  const found = await searchSchedules({ candidates: TILES, compare, mayGoOn: always });
  assertEquals((found.best as Tile).rows, 32);
  assertEquals(found.rejected.length, 5);
  assertMatch(found.rejected[0].reason, /element 3/);
});

Deno.test("no comparison begins when the time is out", async () => {
  const { asked, compare } = measurer(valley);
  const found = await searchSchedules({ candidates: TILES, compare, mayGoOn: () => false });
  assertEquals(asked, []);
  assertEquals(found, { best: TILES[0], ratio: 1, trials: 0, rejected: [] });
});

Deno.test("what won elsewhere is tried first, then neighbours, then another family's first schedule", async () => {
  const { asked, compare } = measurer(() => 1);
  const candidates = [tile(16, 16), tile(64, 64), tile(8, 16), tile(4, 4, "other"), tile(8, 8, "other")];
  await searchSchedules({ candidates, hints: [tile(64, 64)], compare, mayGoOn: always });
  assertEquals(asked, [tile(64, 64), tile(8, 16), tile(4, 4, "other"), tile(8, 8, "other")]);
});

Deno.test("schedules are as far apart as their words and doublings", () => {
  assertEquals(distance(tile(16, 16), tile(16, 16)), 0);
  assertEquals(distance(tile(16, 32), tile(16, 16)), 1);
  assertEquals(distance(tile(8, 32), tile(16, 16)), 2);
  assertEquals(distance(tile(16, 2 ** 16), tile(16, 1)), 2, "a band of all is not sixteen steps away");
});

Deno.test("a GPU's candidates hold every family, the default first, and a processor's no workgroup tiles", () => {
  const shape = { batch: 1, rows: 1024, cols: 768, depth: 768, aContiguous: "depth", bContiguous: "cols" };
  const kinds = (software: boolean, subgroupSize: number) =>
    new Set(
      matmulCandidates(shape as Parameters<typeof matmulCandidates>[0], {
        ...LAVAPIPE,
        software,
        subgroupSize,
      }).map(({ kind }) => kind),
    );
  assertEquals(kinds(false, 32), new Set(["workgroup", "subgroup", "register"]));
  assertEquals(kinds(false, 0), new Set(["workgroup", "register"]));
  assertEquals(kinds(true, 8), new Set(["subgroup", "register"]));
});

const DEVICE = {
  info: { description: "Test Adapter (1.0)", backend: "vulkan", software: true, timestamps: true },
  capabilities: LAVAPIPE,
};
const ENTRY = { schedule: tile(8, 8), trials: 3, beforeMs: 2, afterMs: 1 };

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(join(folder, "tune"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the cache gives back what was saved, to the same device only", () =>
  withFolder(async (folder) => {
    const cache = await TuningCache.open(DEVICE, { folder });
    assertEquals(cache.size, 0);
    cache.set("a", ENTRY);
    await cache.save();
    const again = await TuningCache.open(DEVICE, { folder });
    assertEquals(again.get("a"), ENTRY);
    assertEquals(again.lookup("a"), ENTRY.schedule);
    assertEquals(again.lookup("b"), undefined);
    const capabilities = { ...LAVAPIPE, subgroupSize: 16 };
    assertEquals((await TuningCache.open({ ...DEVICE, capabilities }, { folder })).size, 0);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assertEquals(names.filter((name) => name.endsWith(".tmp")), [], "no temporary file stays");
    assertMatch(again.path!, /test-adapter-1-0-[0-9a-f]{8}\.json$/);
  }));

Deno.test("what another process has saved meanwhile stays", () =>
  withFolder(async (folder) => {
    const [one, two] = [
      await TuningCache.open(DEVICE, { folder }),
      await TuningCache.open(DEVICE, { folder }),
    ];
    one.set("a", ENTRY);
    two.set("b", ENTRY);
    two.set("c", ENTRY);
    await Promise.all([one.save(), two.save()]);
    one.set("c", { ...ENTRY, trials: 9 });
    await one.save();
    const both = await TuningCache.open(DEVICE, { folder });
    assertEquals(both.get("b"), ENTRY);
    assertEquals(both.get("c")?.trials, 9);
  }));

for (
  const [what, text] of [["torn", '{"format": "sinter-sche'], ["foreign", "[1, 2]"], [
    "wrong",
    '{"format": "sinter-schedules-1", "entries": {"a": {"trials": 1}}}',
  ]]
) {
  Deno.test(`a ${what} cache file is ignored with one line, and written anew`, () =>
    withFolder(async (folder) => {
      const { path } = await TuningCache.open(DEVICE, { folder });
      await Deno.mkdir(folder);
      await Deno.writeTextFile(path!, text);
      const lines: string[] = [];
      const warn = (line: string) => void lines.push(line);
      const cache = await TuningCache.open(DEVICE, { folder, warn });
      assertEquals(cache.size, 0);
      assertEquals(lines.length, 1);
      assert(lines[0].startsWith(path!), lines[0]);
      cache.set("a", ENTRY);
      await cache.save();
      assertEquals((await TuningCache.open(DEVICE, { folder })).get("a"), ENTRY);
      assertEquals(lines.length, 1);
    }));
}

Deno.test("a folder that cannot be written is only warned of", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(folder, "a file where the folder should be");
    const lines: string[] = [];
    const cache = await TuningCache.open(DEVICE, { folder, warn: (line) => void lines.push(line) });
    cache.set("a", ENTRY);
    await cache.save();
    assertMatch(lines.at(-1)!, /could not be kept/);
  }));
