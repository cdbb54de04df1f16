import { assertEquals, assertMatch } from "@std/assert";
import {
  type MatmulCase,
  PEER_CASES,
  pieces,
  type RowsCase,
  type StepCase,
  uniform,
} from "../../bench/peers/cases.ts";
import { wrongAnswer, wrongLosses, wrongNorm } from "../../bench/peers/checks.ts";
import { parseResultLine, type PeerResult } from "../../bench/peers/protocol.ts";
import { describeResult, runPeers } from "../../bench/peers/run.ts";

const CASE = PEER_CASES[0].name;

const GOOD: PeerResult = {
  peer: "jax",
  backend: "webgpu",
  version: "1.2.3",
  case: CASE,
  ms: { min: 1, median: 2, max: 3 },
  gflops: 4,
};

/** Results of one case on a made-up peer program. */
async function resultsOf(source: string, seconds = 60): Promise<PeerResult[]> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, source);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const program = () => ["run", "--quiet", "--no-check", "--config", config, "--allow-all", file];
    const options = { peers: ["jax"], cases: [CASE], repeats: 1, seconds: () => seconds, program } as const;
    return await Array.fromAsync(runPeers(options));
  } finally {
    await Deno.remove(file);
  }
}

function stepCase(facts: Partial<StepCase>): StepCase {
  return { ...PEER_CASES.find((one) => one.kind === "step")!, ...facts } as StepCase;
}

Deno.test("a peer's own talk and half-written lines are not taken for results", () => {
  assertEquals(parseResultLine(JSON.stringify(GOOD)), GOOD);
  const lines = [
    "loading kernels",
    "",
    "{ not json",
    JSON.stringify(GOOD).slice(0, -9),
    "null",
    "[]",
    JSON.stringify({ ...GOOD, peer: "somebody" }),
    JSON.stringify({ ...GOOD, ms: undefined }),
    JSON.stringify({ ...GOOD, ms: { min: 1, median: "2", max: 3 } }),
  ];
  for (const line of lines) assertEquals(parseResultLine(line), undefined, line);
});

Deno.test("a peer's result comes through, whatever else it prints and however it ends", async () => {
  const source = `console.log("hello"); console.log(${JSON.stringify(JSON.stringify(GOOD))}); Deno.exit(1);`;
  assertEquals(await resultsOf(source), [GOOD]);
});

Deno.test("a peer that crashes is an error with its reason, not an end of the benchmark", async () => {
  const [thrown] = await resultsOf(`console.log("so far"); throw new Error("no such kernel");`);
  assertEquals([thrown.peer, thrown.case, thrown.ms], ["jax", CASE, undefined]);
  assertMatch(thrown.error!, /exit code 1 .*no such kernel/);
  const [killed] = await resultsOf(`Deno.kill(Deno.pid, "SIGKILL");`);
  assertMatch(killed.error!, /SIGKILL/);
  const [silent] = await resultsOf(
    `console.log(${JSON.stringify(JSON.stringify({ ...GOOD, case: "other" }))});`,
  );
  assertMatch(silent.error!, /no result/);
});

Deno.test("a peer that never ends is stopped and is an error", async () => {
  const [result] = await resultsOf(`while (true);`, 1);
  assertMatch(result.error!, /no answer within 1 s/);
});

Deno.test("a dispatch that WebGPU drops is an error, though the peer's program knows nothing of it", async () => {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const [result] = await resultsOf(`
    import { prepareEnvironment } from ${module("../../runtime/environment.ts")};
    import { watchGpu } from ${module("../../bench/peers/instrument.ts")};
    import { runPeer } from ${module("../../bench/peers/runner.ts")};
    prepareEnvironment();
    const gpu = watchGpu();
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    const module = device.createShaderModule({ code: "@compute @workgroup_size(1) fn main() {}" });
    const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
    const run = () => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.dispatchWorkgroups(1);
      pass.dispatchWorkgroups(65_536);
      pass.end();
      device.queue.submit([encoder.finish()]);
    };
    const kernel = () => ({ run, read: () => Promise.resolve([new Float32Array(512 * 512)]) });
    await runPeer({ peer: "jax", backend: "webgpu", version: "0", gpu, kernel, idle: gpu.idle }, Deno.args);
    Deno.exit(0);`);
  assertMatch(result.error!, /^WebGPU: /);
  assertEquals(result.dispatches, 2);
  assertMatch(describeResult(result), /error: WebGPU/);
});

Deno.test("a product with one wrong region is found out, and a right one is not", () => {
  for (const form of ["NN", "NT", "TN"] as const) {
    const one: MatmulCase = { kind: "matmul", name: form, form, rows: 24, depth: 40, cols: 32 };
    const [a, b] = [uniform(1, 24 * 40), uniform(2, 40 * 32)];
    const c = new Float32Array(24 * 32);
    for (let i = 0; i < 24; i++) {
      for (let j = 0; j < 32; j++) {
        for (let k = 0; k < 40; k++) {
          c[i * 32 + j] += a[form === "TN" ? k * 24 + i : i * 40 + k] *
            b[form === "NT" ? j * 40 + k : k * 32 + j];
        }
      }
    }
    assertEquals(wrongAnswer(one, { inputs: [a, b], outputs: [c] }), undefined, form);
    for (const wrong of [0, NaN]) {
      const outputs = [c.map((value, i) => i < 600 ? value : wrong)];
      assertMatch(wrongAnswer(one, { inputs: [a, b], outputs }) ?? "", /wrong answer/, form);
    }
  }
});

Deno.test("layerNorm's gradients, against which peers are checked, are those of its finite differences", () => {
  const [rows, cols] = [5, 16];
  const one: RowsCase = { kind: "layernorm-grad", name: "", rows, cols };
  const [x, gamma, beta, dy] = [uniform(1, 80), uniform(2, 16), uniform(3, 16), uniform(4, 80)];
  const loss = (x: Float64Array, gamma: Float64Array, beta: Float64Array) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) {
      const part = x.slice(row * cols, (row + 1) * cols);
      const mean = part.reduce((a, b) => a + b) / cols;
      const scale = 1 / Math.sqrt(part.reduce((a, b) => a + (b - mean) ** 2, 0) / cols + 1e-5);
      part.forEach((value, i) => {
        sum += dy[row * cols + i] * ((value - mean) * scale * gamma[i] + beta[i]);
      });
    }
    return sum;
  };
  const operands = [x, gamma, beta].map((values) => Float64Array.from(values));
  const outputs = operands.map((operand, which) =>
    Float32Array.from(operand, (_, i) => {
      const at = (step: number) => {
        const moved = operands.map((values) => values.slice());
        moved[which][i] += step;
        return loss(moved[0], moved[1], moved[2]);
      };
      return (at(1e-5) - at(-1e-5)) / 2e-5;
    })
  );
  assertEquals(wrongAnswer(one, { inputs: [x, gamma, beta, dy], outputs }), undefined);
  outputs[0][79] += 0.1;
  assertMatch(wrongAnswer(one, { inputs: [x, gamma, beta, dy], outputs }) ?? "", /element 79 of output 0/);
});

Deno.test("a run that does not learn, or learns something else, is an error", () => {
  const one = stepCase({ vocabulary: 256, losses: undefined });
  assertEquals(wrongLosses(one, [5.55, 5.3, 5.1]), undefined);
  assertMatch(wrongLosses(one, [5.55, 5.55, 5.55])!, /do not fall/);
  assertMatch(wrongLosses(one, [0.7, 0.5, 0.3])!, /not near ln\(256\)/);
  assertMatch(wrongLosses(one, [5.55, NaN, 5.3])!, /not numbers/);
  const known = stepCase({ vocabulary: 256, losses: [5.55, 5.3, 5.1] });
  assertEquals(wrongLosses(known, [5.5501, 5.2999, 5.1002, 4.9]), undefined);
  assertMatch(wrongLosses(known, [5.55, 5.4, 5.3])!, /not those of the other libraries/);
});

Deno.test("a gradient norm whose sum stopped early is an error, though the losses look right", () => {
  const one = stepCase({ norm: 5.0021 });
  assertEquals(wrongNorm(one, 5.0019), undefined);
  assertMatch(wrongNorm(one, 4.7)!, /norm is 4.7000, not 5.0021/);
  assertMatch(wrongNorm(one, NaN)!, /norm is NaN/);
  assertEquals(wrongNorm(stepCase({ norm: undefined }), 4.7), undefined);
});

Deno.test("pieces of a dimension cover it, and none is too large", () => {
  for (const [size, most] of [[50_304, 25_152], [1024, 333], [7, 7], [7, 1], [50_257, 25_152]]) {
    const parts = pieces(size, most);
    assertEquals(parts.reduce((a, b) => a + b), size);
    assertEquals(parts.every((part) => part > 0 && part <= most), true, `${parts}`);
  }
});
