/**
 * A training step that is loaded and can be run and timed: parameters from a seed, one made-up batch again and again.
 *
 * @module
 */
import { compileGraph, type Program } from "../compiler/mod.ts";
import { stepScalars } from "../model/optimizer.ts";
import type { DispatchTime, GpuDevice, LoadedProgram, StateStore } from "../runtime/mod.ts";
import { profile } from "../runtime/mod.ts";
import { batchOf, type StepCase } from "./cases.ts";
import { chainFor, timeOnce } from "./measure.ts";
import { type Recipe, traceRungInit } from "./rungs.ts";

/** Seed of the parameters: the same numbers for every recipe. */
const SEED = 1337;

/** Learning rate at which the first losses fall and rounding does not grow yet; the peers' own. */
const LEARNING_RATE = 1e-4;

/** A loaded training step with its own states. */
export class TrainingRun {
  readonly #device: GpuDevice;
  readonly #states: StateStore;
  readonly #loaded: LoadedProgram;
  readonly #batch: { tokens: Int32Array; targets: Int32Array };
  #step = 0;

  private constructor(device: GpuDevice, states: StateStore, loaded: LoadedProgram, shape: StepCase) {
    this.#device = device;
    this.#states = states;
    this.#loaded = loaded;
    this.#batch = batchOf(shape);
  }

  /**
   * Draws the parameters on the device and makes the program ready.
   *
   * @throws {LimitError} {@link GpuError} when there is no room; everything is given back before.
   */
  static async load(
    device: GpuDevice,
    shape: StepCase,
    recipe: Recipe,
    program: Program,
  ): Promise<TrainingRun> {
    const states = device.createStates();
    try {
      const graph = traceRungInit(shape, recipe);
      const init = await device.load(compileGraph(graph, device.capabilities, { name: "init" }), states);
      init.run({ scalars: { key: SEED } });
      await device.idle();
      init.destroy();
      return new TrainingRun(device, states, await device.load(program, states), shape);
    } catch (error) {
      states.destroy();
      throw error;
    }
  }

  #inputs() {
    return { batch: this.#batch, scalars: stepScalars(this.#step++, LEARNING_RATE) };
  }

  /** Queues one step. */
  run(): void {
    this.#loaded.run(this.#inputs());
  }

  /** Runs a step and reads its loss. */
  async loss(): Promise<number> {
    this.run();
    return (await this.#loaded.read("loss"))[0];
  }

  /**
   * Milliseconds of a step, measured over as many in a row as make a tenth of a second.
   *
   * @param expected About what a step takes.
   */
  async time(expected: number): Promise<number> {
    return await timeOnce(this.#device, () => this.run(), chainFor(expected, 100, 20));
  }

  /** Times every dispatch of one step. */
  async profile(): Promise<DispatchTime[]> {
    return await profile(this.#loaded, this.#inputs());
  }

  /** Gives program and states back. */
  destroy(): void {
    this.#loaded.destroy();
    this.#states.destroy();
  }
}
