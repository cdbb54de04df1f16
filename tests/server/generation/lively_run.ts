/**
 * Runs of models that were never trained, for generation with a device.
 *
 * @module
 */
import { join } from "@std/path";
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import { saveCheckpoint } from "../../../model/checkpoint.ts";
import { cutParameters, layoutParameters } from "../../../model/params.ts";
import { LIVELY, livelyWeights } from "../../model/lively_model.ts";

/** Saves a model whose weights come from a seed as a run's newest checkpoint. */
export async function saveLively(runs: string, name: string, step: number, seed: number): Promise<void> {
  const layout = layoutParameters(LIVELY);
  const flat = { shape: [layout.size], data: new Float32Array(layout.size) };
  await saveCheckpoint(join(runs, name), {
    config: LIVELY,
    tokenizer: byteTokenizer().file(),
    parameters: cutParameters(layout, livelyWeights(LIVELY, seed)),
    optimizer: [{ name: "m", ...flat }, { name: "v", ...flat }],
    trainer: { step, position: step, seed: 1, plan: {} },
  });
}
