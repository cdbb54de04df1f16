/**
 * The model against PyTorch's: the same weights give the same logits, gradients and steps of AdamW. The reference files were made by
 * `make_reference.py`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { compileGraph, trace } from "../../../compiler/mod.ts";
import { initialValues } from "../../../model/init_from.ts";
import { hidden, logits } from "../../../model/gpt2.ts";
import { openHuggingFace } from "../../../model/huggingface/open.ts";
import { cutParameters, type ParameterLayout, unpack } from "../../../model/params.ts";
import { arenaInputs, arenas, traceGradients } from "../../../model/programs.ts";
import { planRun, type RunPlan } from "../../../model/run_options.ts";
import { SafetensorsFile } from "../../../model/safetensors.ts";
import { TrainingSession } from "../../../model/session.ts";
import type { Weights } from "../../../model/weights.ts";
import { openDevice } from "../../../runtime/mod.ts";

const FIXTURES = new URL("fixtures/", import.meta.url).pathname;

interface Reference {
  readonly peak: number;
  readonly warmup: number;
  /** [20][2][17] tokens. */
  readonly batches: readonly (readonly (readonly number[])[])[];
  readonly losses: readonly number[];
  readonly norms: readonly number[];
}

const reference: Reference = JSON.parse(await Deno.readTextFile(`${FIXTURES}step/reference.json`));

function batchOf(step: number) {
  const rows = reference.batches[step];
  return {
    tokens: Int32Array.from(rows.flatMap((row) => row.slice(0, -1))),
    targets: Int32Array.from(rows.flatMap((row) => row.slice(1))),
  };
}

/** A session with the fixture's weights. */
async function withSession(
  body: (session: TrainingSession, expected: SafetensorsFile) => Promise<void>,
): Promise<void> {
  const device = await openDevice();
  try {
    const weights: Weights = await openHuggingFace(`${FIXTURES}step`);
    const { peak, warmup, batches } = reference;
    const request = { out: "", steps: batches.length, microBatch: 2, learningRate: peak, warmup };
    const plan: RunPlan = planRun(request, true, weights);
    const session = await TrainingSession.open(device, plan);
    const zeros = new Float32Array(session.layout.size);
    session.restore({ params: await initialValues(weights, plan.model), m: zeros, v: zeros });
    using expected = await SafetensorsFile.open(`${FIXTURES}step/reference.safetensors`);
    await body(session, expected);
  } finally {
    device.destroy();
  }
}

function worst(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertEquals(actual.length, expected.length);
  let most = 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    if (!(error <= most)) most = error; // NaN is the worst
  }
  return most;
}

async function compareNamed(
  layout: ParameterLayout,
  flat: Float32Array,
  expected: SafetensorsFile,
  prefix: string,
  most: number,
): Promise<void> {
  for (const { name, data } of cutParameters(layout, flat)) {
    const theirs = await expected.read(`${prefix}.${name}`);
    if (name.endsWith("attn.c_attn.bias")) {
      // A bias of all keys changes no attention: its gradient is rounding alone, of which Adam makes whole steps.
      const third = data.length / 3;
      data.fill(0, third, 2 * third);
      theirs.fill(0, third, 2 * third);
    }
    const error = worst(data, theirs);
    assert(error < most, `${prefix} of ${name}: off by ${error}`);
  }
}

Deno.test("logits are PyTorch's to 1e-4, and every gradient is", async () => {
  await withSession(async ({ device, states, layout, plan: { model } }, expected) => {
    const specs = {
      ...arenas(layout, "params"),
      tokens: { shape: [2, 16], dtype: "i32", role: "batch" } as const,
    };
    const forward = trace((inputs) => {
      const params = unpack(layout, arenaInputs(layout, "params", inputs));
      return { logits: logits(params, hidden(model, params, inputs.tokens)) };
    }, specs);
    const { tokens, targets } = batchOf(0);
    const scores = await device.load(compileGraph(forward, device.capabilities), states);
    scores.run({ batch: { tokens } });
    const error = worst(await scores.read("logits"), await expected.read("logits"));
    assert(error < 1e-4, `logits are off by ${error}`);

    const gradients = traceGradients(model, { batch: 2, context: 16 }, layout);
    const backward = await device.load(compileGraph(gradients, device.capabilities), states);
    backward.run({ batch: { tokens, targets } });
    await compareNamed(layout, Float32Array.from(await backward.read("grads")), expected, "gradient", 1e-5);
  });
});

Deno.test("20 steps of AdamW give PyTorch's losses, norms and weights", async () => {
  await withSession(async (session, expected) => {
    const { losses, norms } = reference;
    for (let step = 0; step < losses.length; step++) session.step(step, [batchOf(step)]);
    const figures = await session.drain();
    const errors = [
      worst(figures.map(({ loss }) => loss), losses),
      worst(figures.map(({ gradNorm }) => gradNorm), norms),
    ];
    assert(errors.every((error) => error < 1e-4), `losses and norms are off by ${errors}`);
    const { params } = await session.snapshot();
    // Adam divides by the root of tiny numbers: single weights may differ more than the loss does.
    await compareNamed(session.layout, params, expected, "final", 1e-3);
  });
});
