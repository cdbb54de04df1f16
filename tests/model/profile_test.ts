/**
 * `deno task train --profile FILE` from outside: the trace, the losses beside it, and what is refused.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { planProfile } from "../../model/profile_plan.ts";
import { RunProfile } from "../../model/run_profile.ts";
import { InputError } from "../../model/errors.ts";
import type { GpuDevice } from "../../runtime/mod.ts";
import { jsonLines, run, TINY, withFolder } from "./command.ts";

interface Event {
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly name: string;
  readonly cat: string;
  readonly ts: number;
  readonly dur: number;
  readonly args: Record<string, number | string>;
}

/** Names of the rows by process and thread, and their spans in the file's order. */
function rowsOf(events: readonly Event[]): Map<string, Event[]> {
  const named = (kind: string) => events.filter(({ ph, name }) => ph === "M" && name === kind);
  const processes = new Map(named("process_name").map(({ pid, args }) => [pid, args.name]));
  return new Map(
    named("thread_name").map(({ pid, tid, args }) => [
      `${processes.get(pid)}: ${args.name}`,
      events.filter((event) => event.ph === "X" && event.pid === pid && event.tid === tid),
    ]),
  );
}

/** Spans of one row lie inside each other or apart; to half of a rounded nanosecond. */
function assertNested(row: string, spans: readonly Event[]): void {
  const open: Event[] = [];
  for (const span of spans) {
    while (open.length > 0 && open.at(-1)!.ts + open.at(-1)!.dur <= span.ts + 5e-4) open.pop();
    const outer = open.at(-1);
    const inside = !outer || span.ts + span.dur <= outer.ts + outer.dur + 5e-4;
    assert(inside, `${row}: ${span.name} at ${span.ts} reaches past ${outer?.name}`);
    open.push(span);
  }
}

const lossesOf = (stdout: string) =>
  jsonLines(stdout).filter((line) => "loss" in line).map(({ loss }) => loss);

Deno.test("a profile is a whole trace of the steps that are named, and the losses are those of a run without", async () => {
  await withFolder(async (folder) => {
    const flags = [...TINY, "--json", "--no-tune", "--steps=9", "--batch-tokens=64", "--eval-every=4"];
    const more = ["--save-every=5", "--sample-every=0"];
    const plain = await run("train", [...flags, ...more, `--out=${folder}/plain`]);
    assertEquals(plain.code, 0, plain.stderr);
    const file = `${folder}/traces/first`;
    const profiled = await run("train", [
      ...flags,
      ...more,
      `--out=${folder}/run`,
      `--profile=${file}`,
      "--profile-steps=4",
    ]);
    assertEquals(profiled.code, 0, profiled.stderr);
    assertEquals(lossesOf(profiled.stdout), lossesOf(plain.stdout));
    assertStringIncludes(
      profiled.stderr,
      `profile: steps 3 to 6 as they run, 7 to 8 kernel by kernel, in ${file}`,
    );
    assertMatch(profiled.stderr, /profile: the GPU worked \d+\.\d % of \d+ ms; the longest gap was/);
    assertEquals(Array.from(Deno.readDirSync(`${folder}/traces`), ({ name }) => name), ["first"]);

    const { traceEvents, otherData } = JSON.parse(await Deno.readTextFile(file)) as {
      traceEvents: Event[];
      otherData: Record<string, unknown>;
    };
    assert(Object.keys(otherData).includes("clockErrorMs"));
    const rows = rowsOf(traceEvents);
    for (const [row, spans] of rows) assertNested(row, spans);
    assertEquals([...rows.keys()].sort(), [
      "GPU: idle",
      "GPU: queue",
      "host: checkpoint",
      "host: main thread",
      "host: trainer Worker",
    ]);

    const queue = rows.get("GPU: queue")!;
    const names = (step: number, cat: string) =>
      queue.filter((event) => event.cat === cat && event.args.step === step && event.name !== "readback")
        .map(({ name }) => name);
    for (const step of [3, 4, 5, 6]) {
      assertEquals(names(step, "queue"), ["micro_step", "micro_step", "apply_step"], `step ${step}`);
    }
    for (const step of [7, 8]) {
      assertEquals(names(step, "kernels"), ["micro_step", "micro_step", "apply_step"], `step ${step}`);
    }
    assertEquals(
      queue.filter(({ name }) => name === "validation").map(({ args }) => args.afterStep),
      Array(8).fill(4),
    );
    // Every dispatch of a submission is inside of it, once; submissions of one program have the same kernels.
    const kernels = (outer: Event) =>
      queue.filter(({ cat, ts, dur }) =>
        cat === "kernel" && ts >= outer.ts - 5e-4 && ts + dur <= outer.ts + outer.dur + 5e-4
      ).map(({ name }) => name);
    for (const program of ["micro_step", "apply_step"]) {
      const runs = queue.filter(({ cat, name }) => cat === "kernels" && name === program);
      for (const outer of runs) {
        assertEquals(kernels(outer).length, outer.args.dispatches, `${program} of step ${outer.args.step}`);
        assertEquals(kernels(outer), kernels(runs[0]));
      }
    }
    const counted = traceEvents.filter(({ ph, name }) => ph === "C" && name === "loss").map(({ args }) =>
      args.loss
    );
    assertEquals(counted, lossesOf(profiled.stdout).slice(2, 8));
  });
});

Deno.test("a profile that cannot be written is refused before a step is taken", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    const cases: [string[], RegExp][] = [
      [[`--profile=${folder}`], /^error: --profile .*: cannot be written \(it is a directory\); name a file/],
      [[`--profile=${folder}/file/trace.json`], /^error: --profile .*\/file\/trace\.json: cannot be written/],
      [
        ["--profile-steps=3"],
        /^error: --profile-steps 3: no file is named for the profile; add --profile FILE/,
      ],
    ];
    for (const [flags, message] of cases) {
      const { code, stderr } = await run("train", [...TINY, "--steps=2", `--out=${folder}/run`, ...flags]);
      const errors = stderr.split("\n").filter((line) => line.startsWith("error"));
      assertEquals(errors.length, 1, stderr);
      assertMatch(errors[0], message);
      assertEquals(code, 2);
    }
    assertEquals(Array.from(Deno.readDirSync(folder), ({ name }) => name), ["file"]);
  });
});

Deno.test("an adapter without timestamps and a run without steps are refused by name", async () => {
  const device = { info: { description: "Old Adapter", timestamps: false } } as GpuDevice;
  const open = async (device: GpuDevice, start: number) => {
    try {
      await RunProfile.open("trace.json", device, planProfile(start, 10, 5));
    } catch (problem) {
      if (problem instanceof InputError) return problem.message;
      throw problem;
    }
  };
  assertMatch(await open(device, 0) ?? "", /^--profile trace\.json: Old Adapter has no timestamps; leave/);
  const timed = { info: { description: "Adapter", timestamps: true } } as GpuDevice;
  assertMatch(await open(timed, 10) ?? "", /^--profile trace\.json: the run has no step left to profile/);
});
