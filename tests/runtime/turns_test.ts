/**
 * Turns on a GPU, taken by Workers that sleep instead of working.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { GpuTurns, TURN_PARTIES } from "../../runtime/turns.ts";
import { Party, type Turns, turnsOf } from "./party.ts";

/** Milliseconds of turns while both parties were there. */
function sharedTime(all: readonly Turns[]): number[] {
  const start = Math.max(...all.map((turns) => turns[0][0]));
  const end = Math.min(...all.map((turns) => turns.at(-1)![1]));
  return all.map((turns) =>
    turns.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(to, end) - Math.max(from, start)), 0)
  );
}

/** Two turns at once would show as times that overlap by more than the clock's grain. */
function assertDisjoint(all: readonly Turns[]): void {
  const [one, other] = all;
  for (const [from, to] of one) {
    const both = other.find(([a, b]) => Math.min(to, b) - Math.max(from, a) > 1);
    assertEquals(both, undefined, `${from} to ${to} overlaps`);
  }
}

for (const [shares, thinkMs] of [[[1, 1], 0], [[1, 3], 0], [[1, 3], 8]] as const) {
  Deno.test(`parties with shares ${shares.join(":")} that think for ${thinkMs} ms get their shares, one at a time`, async () => {
    const buffer = GpuTurns.create(shares);
    const all = await turnsOf({ buffer, party: 0, thinkMs, untilMs: 1500 }, {
      buffer,
      party: 1,
      thinkMs,
      untilMs: 1500,
    });
    assertDisjoint(all);
    const [first, second] = sharedTime(all);
    const got = second / (first + second);
    const due = shares[1] / (shares[0] + shares[1]);
    assert(Math.abs(got - due) < 0.15, `${first} ms and ${second} ms: ${got}, not ${due}`);
  });
}

Deno.test("a party alone keeps its turn, and loses it soon after another comes", async () => {
  const buffer = GpuTurns.create([1, 1]);
  const [alone] = await turnsOf({ buffer, party: 0, untilMs: 300 });
  assertEquals(alone.length, 1);
  const all = await turnsOf({ buffer, party: 0 }, { buffer, party: 1, delayMs: 300 });
  assertDisjoint(all);
  assert(all[0].length > 1, "the first party did not give its turn up");
});

Deno.test("who was idle gets its share from then on, not the time that it missed", async () => {
  const buffer = GpuTurns.create([1, 1]);
  const all = await turnsOf({ buffer, party: 0, untilMs: 2000 }, {
    buffer,
    party: 1,
    delayMs: 1000,
    untilMs: 2000,
  });
  const [first, second] = sharedTime(all);
  assert(first > 0.3 * (first + second), `${first} ms and ${second} ms since it came`);
});

Deno.test("the turn of a Worker that was ended goes to the next", async () => {
  const buffer = GpuTurns.create([1, 1]);
  const dead = new Party({ buffer, party: 0, untilMs: 60_000, neverEnds: true });
  await dead.holding;
  using next = new Party({ buffer, party: 1, untilMs: 300 });
  await new Promise((resolve) => setTimeout(resolve, 50));
  dead[Symbol.dispose]();
  GpuTurns.release(buffer, 0);
  assert((await next.report).turns.length > 0);
});

Deno.test("a party that hangs is passed over after a while, and does not end the turn of who came next", async () => {
  const buffer = GpuTurns.create([1, 1]);
  using hanging = new Party({ buffer, party: 0, untilMs: 1500, neverEnds: true });
  await hanging.holding;
  using next = new Party({ buffer, party: 1, untilMs: 2000, patienceMs: 200, pieceMs: 500 });
  const [[from]] = (await next.report).turns;
  assert(from > 0);
  const { turns } = await hanging.report;
  assert(from < turns[0][1], "nobody passed the party over");
});

Deno.test("a wish of a Worker that was ended holds nobody up", async () => {
  const buffer = GpuTurns.create([1, 1]);
  using holder = new Party({ buffer, party: 1, untilMs: 60_000, neverEnds: true });
  await holder.holding;
  const waiting = new Party({ buffer, party: 0, untilMs: 60_000 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  waiting[Symbol.dispose]();
  GpuTurns.release(buffer, TURN_PARTIES.training);
  const turns = new GpuTurns(buffer, 0);
  assertEquals(turns.isContended, false);
});

Deno.test("shares and parties that make no sense are refused", () => {
  for (const share of [0, -1, NaN, 1e6]) assertThrows(() => GpuTurns.create([1, share]), RangeError, "share");
  assertThrows(() => new GpuTurns(GpuTurns.create([1, 1]), 2), RangeError, "party 2");
});
