import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { chainFor, spreadOf } from "../../bench/measure.ts";
import { tableOf } from "../../bench/kernels.ts";
import type { RungResult } from "../../bench/ladder.ts";
import { parseOptions } from "../../bench/options.ts";
import { axisOf, drawLadders } from "../../bench/picture.ts";
import { type Report, slugOf } from "../../bench/report.ts";
import { describeRatio, ratiosOf } from "../../bench/targets.ts";
import { comparisonTable, ladderTable, rungBelow } from "../../bench/text.ts";
import type { Comparison } from "../../bench/versus.ts";
import { pageOf } from "../../bench/gpu/page.ts";
import { LAVAPIPE } from "../../compiler/mod.ts";
import { InputError } from "../../model/errors.ts";

const CEILINGS = { f32Gflops: 100, copyGBs: 8, readGBs: 9, driverCopyGBs: 10, dispatchUs: 20, submitUs: 80 };

function rung(name: string, median: number, facts: Partial<RungResult> = {}): RungResult {
  return {
    name,
    title: `+ ${name}`,
    status: "measured",
    dtype: "f32",
    ms: { min: median * 0.9, median, max: median * 1.2 },
    tokensPerSecond: 1e6 / median,
    dispatches: 10,
    kernels: 5,
    bytesMoved: 1e9,
    flops: 1e9,
    peakBytes: 1e8,
    lowerBoundBytes: 1e8,
    compileMs: 1,
    losses: [5, 4, 3],
    ...facts,
  };
}

const MISSING: Partial<RungResult> = {
  status: "too large",
  note: "needs 9 GiB <there> are 8",
  ms: undefined,
  losses: undefined,
};
const LADDER = {
  case: "tiny",
  tokens: 32,
  parameters: 40_000,
  rungs: [
    rung("eager", 4000),
    rung("f16", 500, { dtype: "f16" }),
    rung("tuner", 400),
    rung("last", 1, MISSING),
  ],
};

const COMPARISON: Comparison = {
  case: "step-gpt2",
  kind: "step",
  own: { ms: { min: 90, median: 100, max: 110 } },
  peers: [
    {
      peer: "jax",
      backend: "webgpu",
      version: "1",
      case: "step-gpt2",
      ms: { min: 630, median: 800, max: 900 },
    },
    { peer: "tfjs", backend: "webgpu", version: "1", case: "step-gpt2", error: "out of memory" },
  ],
};

Deno.test("medians of an even number of measurements lean to one side", () => {
  assertEquals(spreadOf([4, 1, 3, 2]), { min: 1, median: 2.5, max: 4 });
  assertEquals(spreadOf([3, 1, 2]).median, 2);
  assertEquals([chainFor(1000), chainFor(10), chainFor(0)], [1, 10, 50]);
});

Deno.test("the command line takes what it does not know, or not what it lists", () => {
  assertEquals(parseOptions(["--help"]), undefined);
  assertEquals([...parseOptions(["--only", "kernels,peers"])!.parts], [
    "kernels",
    "matmul",
    "operations",
    "steps",
  ]);
  assertEquals(parseOptions(["--quick"])!.rounds, 2);
  assertEquals(parseOptions(["--case", "6x384"])!.shape!.width, 384);
  for (
    const args of [["--only", "x"], ["--case", "x"], ["--rounds", "0"], ["--memory", "0"], ["--jason"], ["x"]]
  ) {
    assertThrows(() => parseOptions(args), InputError);
  }
});

Deno.test("a wrong flag of bench is more than one line, or not exit code 2", async () => {
  const main = fromFileUrl(new URL("../../bench/main.ts", import.meta.url));
  const args = ["run", "--no-prompt", "--allow-read", "--allow-env", main, "--case", "nope"];
  const { code, stdout, stderr } = await new Deno.Command("deno", { args, env: { NO_COLOR: "1" } }).output();
  const lines = new TextDecoder().decode(stderr).trim().split("\n").filter((line) =>
    !line.startsWith("Check ")
  );
  assertEquals([code, stdout.length, lines.length], [2, 0, 1]);
  assertMatch(lines[0], /--case nope/);
});

Deno.test("a rung is compared with one of another precision than its own", () => {
  const { rungs } = LADDER;
  assertEquals(rungBelow(rungs, 1)?.name, "eager");
  assertEquals(rungBelow(rungs, 2)?.name, "eager");
  assertEquals(rungBelow(rungs, 0), undefined);
  const lines = ladderTable(LADDER, CEILINGS).split("\n");
  assertEquals(lines.length, 1 + 4 + 1);
  assertMatch(lines[3], /10\.00 x +10\.00 x/);
  assertMatch(lines[5], /last: needs 9 GiB/);
});

Deno.test("the picture has no place for a rung, or is no XML", () => {
  const svg = drawLadders([LADDER, LADDER], "a & b");
  assert(!svg.includes("NaN") && !svg.includes("Infinity"));
  assert(svg.includes("a &amp; b") && svg.includes("&lt;there&gt;"));
  assertEquals(svg.match(/class="bar"/g)?.length, 6);
  const open = svg.match(/<(svg|style|text)\b/g)!.length;
  assertEquals(svg.match(/<\/(svg|style|text)>/g)!.length, open);
  drawLadders([{ ...LADDER, rungs: [LADDER.rungs[3]] }], "");
});

Deno.test("a bar on the logarithmic axis has no length, or leaves the picture", () => {
  for (const times of [[4000, 280], [1, 1.01], [0.02, 30_000], [7]]) {
    const { ticks, position } = axisOf(times);
    assert(ticks.length >= 1, `${times}`);
    for (const ms of times) {
      assert(position(ms) > 0 && position(ms) <= 1, `${ms} of ${times} at ${position(ms)}`);
    }
  }
});

Deno.test("launches of a kernel are not added up, or runs are", () => {
  const launch = (kernel: string, ms: number) => ({ kernel, group: 0, ms, bytes: 1e7, flops: 1e8 });
  const runs = [2, 4, 3].map((ms) => [launch("a", ms), launch("b", 1), launch("a", ms)]);
  const { ms, kernels } = tableOf(runs, CEILINGS);
  assertEquals(ms, 7);
  assertEquals(kernels.map(({ kernel, launches }) => `${kernel}${launches}`), ["a2", "b1"]);
  assertEquals(kernels[0].ms, { min: 4, median: 6, max: 8 });
  assertEquals([kernels[1].gflops, kernels[1].gbs, kernels[1].bound], [100, 10, "bandwidth"]);
});

Deno.test("a peer that failed gets a ratio, or its failure is not said", () => {
  const ratios = ratiosOf([COMPARISON], [rung("eager", 4000), rung("tuner", 400)]);
  assertEquals(ratios.map(({ ratio, best, target }) => [ratio, best, target]), [[8, 7, 5], [10, 10, 5]]);
  assertMatch(describeRatio(ratios[0]), /8\.00 x, best runs 7\.00 x \(target 5: reached\)/);
  const failed = ratiosOf([{ ...COMPARISON, own: { error: "lost" } }]);
  assertMatch(describeRatio(failed[0]), /no ratio \(lost\)/);
  assertMatch(comparisonTable([COMPARISON]), /tfjs .*error: out of memory/);
});

Deno.test("the page of a machine passes a processor for a GPU", () => {
  const report: Report = {
    date: "2026-01-02T03:04:05Z",
    deno: "2.9.6",
    cores: 2,
    adapter: { description: "llvmpipe (LLVM 15)", backend: "vulkan", software: true, timestamps: true },
    capabilities: LAVAPIPE,
    quick: false,
    rounds: 1,
    ceilings: CEILINGS,
    ladders: [LADDER],
    decode: [],
    kernels: [],
    comparisons: [COMPARISON],
    fused: [],
    ratios: [],
    seconds: 1,
  };
  const slug = slugOf(report.adapter);
  assertEquals(slug, "llvmpipe-llvm-15");
  const page = pageOf(report, slug);
  assertMatch(page, /no figures of a GPU/);
  assertMatch(page, /PyTorch\n\nNot installed/);
  const row = { name: "eager-f32", title: "eager", error: "out of memory" };
  const pytorch = { torch: "2", device: "cuda", case: { layers: 2 }, rungs: [row], products: [] };
  assertMatch(pageOf({ ...report, pytorch }, slug), /\| eager \| out of memory \|/);
});
