/**
 * The order in which a pipeline submits and reads.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { planProfile, words } from "../../model/profile_plan.ts";
import { runPipeline, type Submissions } from "../../model/pipeline.ts";
import { GpuTurns, Readback } from "../../runtime/mod.ts";

/** Notes in `log` what a pipeline does with submissions `a`, `b`, … and readbacks `1`, `2`, …; `!` is not copied at once. */
function* noted(log: string[], script: string): Submissions {
  for (const [i, name] of [...script].entries()) {
    if (name === "!") continue;
    log.push(name);
    if (!/\d/.test(name)) yield;
    else {
      yield new Readback(script[i + 1] !== "!", async (whenIdle) => {
        log.push(`(${name}`);
        whenIdle();
        await Promise.resolve();
        log.push(`${name})`);
      });
    }
  }
}

const CASES: [name: string, script: string, ahead: number, expected: string][] = [
  ["one submission follows before a readback comes", "ab1cd2", 1, "a b 1 (1 c 1) d 2 (2 2)"],
  ["as many follow as keep the device busy", "a1bcde2", 3, "a 1 (1 b c d 1) e 2 (2 2)"],
  ["a readback alone keeps nothing busy", "a12bc", 1, "a 1 (1 2 b 1) (2 c 2)"],
  ["nothing follows what is not copied", "a12!bc", 1, "a 1 (1 2 1) (2 b 2) c"],
  ["readbacks at both ends are read", "1a2", 1, "1 (1 a 1) 2 (2 2)"],
  ["nothing is nothing", "", 1, ""],
];

for (const [name, script, ahead, expected] of CASES) {
  Deno.test(`in a pipeline, ${name}`, async () => {
    const log: string[] = [];
    await runPipeline(noted(log, script), { ahead: () => ahead });
    assertEquals(log.join(" "), expected);
  });
}

/** The log of a pipeline whose turns last no time; `waiting` says whether another party waits, and `|` that a turn ended. */
async function sharedLog(script: string, waiting: boolean): Promise<string> {
  const buffer = GpuTurns.create([1, 1]);
  const log: string[] = [];
  class Logged extends GpuTurns {
    override begin(): void {
      if (!this.isHeld) log.push("[");
      super.begin();
    }
    override end(): void {
      if (this.isHeld) log.push("]");
      super.end();
    }
    override get isContended(): boolean {
      return waiting;
    }
    override get isOver(): boolean {
      return waiting && this.isHeld;
    }
  }
  const turns = new Logged(buffer, 0, { quantumMs: 0 });
  const idle = () => {
    log.push("idle");
    return Promise.resolve();
  };
  await runPipeline(noted(log, script), { ahead: () => 1, shared: { turns, idle } });
  assertEquals(turns.isHeld, false);
  return log.join(" ");
}

Deno.test("a pipeline that shares the GPU with nobody who wants it submits as if it were alone", async () => {
  assertEquals(await sharedLog("ab1cd2", false), "[ a b 1 (1 c 1) d 2 (2 2) ]");
});

Deno.test("a pipeline gives its turn up when its queue is empty, and submits nothing until the next", async () => {
  assertEquals(await sharedLog("ab1c", true), "[ a idle ] [ b idle ] [ 1 (1 ] 1) [ c idle ] [ ]");
});

Deno.test("what is copied is read without a turn, what is not waits for one", async () => {
  assertEquals(await sharedLog("12", true), "[ 1 (1 ] 1) [ 2 (2 ] 2) [ ]");
  assertEquals(await sharedLog("12!", true), "[ 1 (1 ] 1) [ 2 (2 ] 2) [ ]");
});

Deno.test("a pipeline that fails leaves no turn behind", async () => {
  const buffer = GpuTurns.create([1, 1]);
  const turns = new GpuTurns(buffer, 0);
  const failing = function* (): Submissions {
    yield;
    throw new Error("lost");
  };
  const shared = { turns, idle: () => Promise.resolve() };
  await assertRejects(() => runPipeline(failing(), { shared }), Error, "lost");
  assertEquals(turns.isHeld, false);
});

Deno.test("readbacks without work between them do not fill the queue as if work took no time", async () => {
  const counts: number[] = [];
  const ahead = (msEach: number) => {
    counts.push(msEach);
    return 0;
  };
  await runPipeline(noted([], "123"), { ahead });
  assertEquals(counts, [Infinity, Infinity, Infinity]);
});

Deno.test("a readback that fails ends the pipeline with its error", async () => {
  const failing = function* (): Submissions {
    yield new Readback(true, () => Promise.reject(new Error("lost")));
    yield;
  };
  await assertRejects(() => runPipeline(failing()), Error, "lost");
});

Deno.test("the steps of a profile lie within the run, however short it is", () => {
  const shown = (start: number, steps: number, wanted: number) => {
    const { queue, kernels } = planProfile(start, steps, wanted);
    return `${words(queue)}; ${words(kernels)}`;
  };
  assertEquals(shown(0, 300, 5), "3 to 7; 8 to 9");
  assertEquals(shown(100, 300, 5), "103 to 107; 108 to 109");
  assertEquals(shown(0, 300, 1), "3; 4");
  assertEquals(shown(0, 8, 5), "2 to 6; 7 to 8");
  assertEquals(shown(0, 4, 5), "1 to 2; 3 to 4");
  assertEquals(shown(0, 2, 5), "1; 2");
  assertEquals(shown(0, 1, 5), "none; 1");
});
