/**
 * Services without a GPU, for tests of everything that speaks HTTP. They keep the contracts of `server/services.ts`,
 * answer the same every time, and take as long as a test asks.
 *
 * @module
 */
import type { Services } from "../../server/services.ts";
import { FakeGeneration, type FakeGenerationOptions } from "./fake_generation.ts";
import { FakePrograms } from "./fake_programs.ts";
import { FakeTraining } from "./fake_training.ts";

export { FAKE_TEXT, FakeGeneration, type FakeGenerationOptions } from "./fake_generation.ts";
export { FakePrograms } from "./fake_programs.ts";
export { FakeTraining } from "./fake_training.ts";

/** The fakes together. */
export interface FakeServices extends Services {
  readonly generation: FakeGeneration;
  readonly training: FakeTraining;
  readonly programs: FakePrograms;
}

/** One of each. */
export function fakeServices(options: FakeGenerationOptions = {}): FakeServices {
  return {
    generation: new FakeGeneration(options),
    training: new FakeTraining(),
    programs: new FakePrograms(),
  };
}
