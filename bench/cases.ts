/**
 * The models that are measured, with their batches: two small ones with a vocabulary of bytes and with GPT-2's, and GPT-2
 * itself. The training data is made up, the same as the peers are given.
 *
 * @module
 */
import type { ModelConfig } from "../model/config.ts";
import { layoutParameters } from "../model/params.ts";

export { batchOf } from "./peers/cases.ts";

/** A model and its batch. */
export interface StepCase extends ModelConfig {
  readonly name: string;
  /** Sequences of a batch, each of `context` tokens. */
  readonly batch: number;
  /** Name of the case in `bench/peers/cases.ts` that is the same work; absent if no peer does it. */
  readonly peer?: string;
}

const small = { name: "4x128", layers: 4, width: 128, heads: 4, context: 128, batch: 8 };
const middle = { name: "6x384", layers: 6, width: 384, heads: 6, context: 128, batch: 4 };
const gpt2 = { name: "gpt2", layers: 12, width: 768, heads: 12, vocabulary: 50_257 };

/** Every case by its name. `-v50257` is unpadded where a rung says so; `-v50304` is what the peers can be given. */
export const STEP_CASES: readonly StepCase[] = [
  { ...small, vocabulary: 256, peer: "step-4x128-v256" },
  { ...middle, vocabulary: 256, peer: "step-6x384-v256" },
  { ...small, name: "4x128-v50304", vocabulary: 50_304, peer: "step-4x128-v50304" },
  { ...middle, name: "6x384-v50304", vocabulary: 50_304, peer: "step-6x384-v50304" },
  { ...gpt2, context: 64, batch: 1, peer: "step-gpt2" },
  { ...small, name: "4x128-v50257", vocabulary: 50_257 },
  { ...gpt2, name: "gpt2-16x1024", context: 1024, batch: 16 },
  { ...gpt2, name: "gpt2-4x1024", context: 1024, batch: 4 },
  { name: "tiny", layers: 2, width: 32, heads: 2, context: 16, batch: 2, vocabulary: 500 },
];

/** The case of that name, or undefined. */
export function caseNamed(name: string): StepCase | undefined {
  return STEP_CASES.find((one) => one.name === name);
}

/** Parameters of a case, without padding. */
export function parametersOf(shape: StepCase): number {
  return layoutParameters(shape).count;
}
