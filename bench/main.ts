/**
 * `deno task bench`: products and training steps on this machine's adapter, in one run, with medians and spread. With
 * `--json` one JSON object on standard output and nothing else.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { DeviceError, ensureAdapter, openDevice } from "../runtime/mod.ts";
import { benchMatmul, MATMUL_CASES, type MatmulResult } from "./matmul.ts";
import { benchStep, GPT2_CASE, parametersOf, STEP_CASES, type StepResult } from "./steps.ts";

const HELP = `deno task bench [--json] [--gpt2] [--only matmul|steps]

Measures this machine's adapter: matrix products in GFLOP/s, then whole training steps of GPT-2 at two
sizes, eager (one kernel for each op) and fused. Medians of several runs, with minimum and maximum.

  --gpt2         also GPT-2 124M at 64 tokens, fused (2 GiB of memory)
  --only PART    matmul or steps
  --json         one JSON object on standard output
  --help         this text`;

const PARTS = ["matmul", "steps"];

function fail(message: string): never {
  console.error(`bench: ${message}`);
  Deno.exit(2);
}

const flags = parseArgs(Deno.args, {
  boolean: ["json", "gpt2", "help"],
  string: ["only"],
  unknown: (name: string) => fail(`unknown argument ${name}: see --help`),
});
if (flags.help) {
  console.log(HELP);
  Deno.exit(0);
}
if (flags.only !== undefined && !PARTS.includes(flags.only)) {
  fail(`--only ${flags.only} is no part: use ${PARTS.join(" or ")}`);
}
const say = flags.json ? () => {} : console.log;

try {
  await ensureAdapter();
} catch (error) {
  if (error instanceof DeviceError) fail(error.message);
  throw error;
}
const device = await openDevice();
say(device.describe());

const matmuls: MatmulResult[] = [];
if (flags.only !== "steps") {
  say("\nproducts [MxK]x[KxN]         GFLOP/s      ms (min - max)");
  for (const shape of MATMUL_CASES) {
    const result = await benchMatmul(device, shape);
    matmuls.push(result);
    const { form, rows, depth, cols, gflops, ms } = result;
    say(
      `${form} ${`${rows}x${depth}x${cols}`.padEnd(22)} ${gflops.toFixed(1).padStart(10)} ` +
        `${ms.median.toFixed(2).padStart(9)} (${ms.min.toFixed(2)} - ${ms.max.toFixed(2)})`,
    );
  }
}

const steps: StepResult[] = [];
if (flags.only !== "matmul") {
  say(
    "\ntraining step          mode    ms (min - max)              tokens/s  launches  compile  driver  peak (bound)",
  );
  const cases = [
    ...STEP_CASES.flatMap((shape) => (["eager", "fused"] as const).map((mode) => ({ shape, mode }))),
    ...(flags.gpt2 ? [{ shape: GPT2_CASE, mode: "fused" as const }] : []),
  ];
  for (const { shape, mode } of cases) {
    const result = await benchStep(device, shape, mode, { repeats: mode === "eager" ? 2 : 5 });
    steps.push(result);
    const { ms, peakBytes, lowerBoundBytes } = result;
    say(
      `${`${shape.name} (${(parametersOf(shape) / 1e6).toFixed(1)} M)`.padEnd(22)} ${mode.padEnd(6)} ` +
        `${`${ms.median.toFixed(0)} (${ms.min.toFixed(0)} - ${ms.max.toFixed(0)})`.padEnd(27)} ` +
        `${result.tokensPerSecond.toFixed(0).padStart(8)} ${String(result.dispatches).padStart(9)} ` +
        `${`${result.compileMs.toFixed(0)} ms`.padStart(8)} ${
          `${result.driverMs.toFixed(0)} ms`.padStart(8)
        } ` +
        `${(peakBytes / 1e6).toFixed(0)} MB (${(peakBytes / lowerBoundBytes).toFixed(3)} x)`,
    );
  }
  for (const { name } of STEP_CASES) {
    const [eager, fused] = ["eager", "fused"].map((mode) =>
      steps.find((s) => s.name === name && s.mode === mode)!
    );
    say(`${name}: fused is ${(eager.ms.median / fused.ms.median).toFixed(2)} x as fast as eager`);
  }
}

if (flags.json) {
  console.log(JSON.stringify({ adapter: device.info, capabilities: device.capabilities, matmuls, steps }));
}
device.destroy();
