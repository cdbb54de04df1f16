/**
 * Makes a checkpoint of Hugging Face's files, which everything that takes a run's checkpoint takes too: generation, evaluation,
 * `--init-from`, the server.
 *
 * @module
 */
import { saveCheckpoint } from "../checkpoint.ts";
import { layoutParameters } from "../params.ts";
import type { Weights } from "../weights.ts";

/**
 * Writes weights as the checkpoint of step 0 of a run.
 *
 * @param run The run's folder.
 * @returns The checkpoint's folder.
 * @throws {CheckpointError} when it cannot be written; nothing half-written stays.
 */
export async function importWeights(weights: Weights, run: string): Promise<string> {
  const { config, tokenizer } = weights;
  const tensors = await weights.read();
  const parameters = layoutParameters(config).parameters.map(({ name, shape, rows }) => ({
    name,
    shape: [rows, ...shape.slice(1)],
    data: tensors.get(name)!,
  }));
  return await saveCheckpoint(run, {
    config,
    tokenizer,
    parameters,
    trainer: { step: 0, position: 0, seed: 0 },
  });
}
