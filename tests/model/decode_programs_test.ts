/** Programs of cached generation on a device: the same bits for every number of sequences, and what 16 bits cost. */
import { assert, assertEquals } from "@std/assert";
import { type Capabilities, compileGraph, evaluate } from "../../compiler/mod.ts";
import { trace } from "../../compiler/trace.ts";
import type { ModelConfig } from "../../model/config.ts";
import { logitsName, traceDecode } from "../../model/decode_programs.ts";
import { logitsAt } from "../../model/gpt2.ts";
import { layoutParameters, unpack } from "../../model/params.ts";
import type { Precision } from "../../model/precision.ts";
import { writeServing } from "../../model/serving_layout.ts";
import type { GpuDevice } from "../../runtime/mod.ts";
import { withDevice } from "../runtime/support.ts";
import { livelyWeights } from "./lively_model.ts";

const SLOTS = 32;
const TOKENS = [5, 17, 200, 3];

/** Logits of sequence 0 after {@link TOKENS}, fed token by token in steps of `sequences`. */
async function logitsOf(
  device: GpuDevice,
  target: Capabilities,
  config: ModelConfig,
  sequences: number,
  dtype: Precision = "f32",
): Promise<Float32Array> {
  const states = device.createStates();
  const shape = { slots: SLOTS, sequences, dtype };
  const program = await device.load(compileGraph(traceDecode(config, shape), target), states);
  writeServing(states, layoutParameters(config), livelyWeights(config), dtype);
  const slot = Int32Array.from({ length: sequences }, (_, i) => SLOTS - 1 - i);
  TOKENS.forEach((token, position) => {
    states.write("token", 0, Int32Array.from({ length: SLOTS }, (_, i) => i === SLOTS - 1 ? token : i));
    program.run({ batch: { slot, position: new Int32Array(sequences).fill(position) } });
  });
  const bytes = await states.read(logitsName(sequences), 0, config.vocabulary * 4);
  program.destroy();
  states.destroy();
  return new Float32Array(bytes.buffer);
}

const SMALL: ModelConfig = { layers: 2, width: 64, heads: 2, context: 16, vocabulary: 256 };
/** Widths of GPT-2, whose products get the schedules that GPT-2's get. */
const WIDE: ModelConfig = { layers: 1, width: 768, heads: 12, context: 16, vocabulary: 3000 };

for (const [name, config] of [["a small model", SMALL], ["GPT-2's widths", WIDE]] as const) {
  Deno.test(`a sequence has the same logits, bit for bit, in steps of 1, 2, 8 and 32: ${name}`, async () => {
    await withDevice(async (device) => {
      for (const subgroupSize of [device.capabilities.subgroupSize, 0]) {
        const target = { ...device.capabilities, subgroupSize };
        const alone = await logitsOf(device, target, config, 1);
        for (const sequences of [2, 8, 32]) {
          const beside = await logitsOf(device, target, config, sequences);
          assertEquals(beside, alone, `subgroups of ${subgroupSize}, steps of ${sequences}`);
        }
      }
    });
  });
}

/** Logits after {@link TOKENS} from the whole sequence at once, in float64. */
function reference(config: ModelConfig): Float64Array {
  const layout = layoutParameters(config);
  const graph = trace(({ params, tokens, position }) => ({
    logits: logitsAt(config, unpack(layout, [params]), tokens, position),
  }), {
    params: { shape: [layout.size], dtype: "f32", role: "state" },
    tokens: { shape: [1, TOKENS.length], dtype: "i32", role: "batch" },
    position: { shape: [], dtype: "i32", role: "scalar" },
  });
  return evaluate(graph, { params: livelyWeights(config), tokens: TOKENS, position: [TOKENS.length - 1] })
    .logits;
}

Deno.test("logits from the cache are those from the whole sequence, and nearly so with weights of 16 bits", async () => {
  const expected = reference(SMALL);
  const scale = Math.max(...expected.map(Math.abs));
  await withDevice(async (device) => {
    const precisions: [Precision, number][] = [["f32", 1e-5], ["bf16", 3e-2]];
    if (device.capabilities.f16) precisions.push(["f16", 4e-3]);
    for (const [dtype, tolerance] of precisions) {
      const logits = await logitsOf(device, device.capabilities, SMALL, 1, dtype);
      const error = Math.max(...logits.map((value, i) => Math.abs(value - expected[i]))) / scale;
      assert(error < tolerance, `${dtype}: the largest error is ${error} of the largest logit`);
      assert(dtype === "f32" || error > 1e-6, `${dtype}: nothing was rounded`);
    }
  });
});
