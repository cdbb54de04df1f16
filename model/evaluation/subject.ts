/**
 * What is evaluated: the weights of a checkpoint on a device of their own.
 *
 * @module
 */
import { type Tokenizer, tokenizerFromFile } from "../../data/mod.ts";
import { ensureAdapter, type GpuDevice, openDevice, type StateStore } from "../../runtime/mod.ts";
import { InputError } from "../errors.ts";
import { joinParameters, layoutParameters } from "../params.ts";
import { type Precision, requirePrecision, requireSizes } from "../precision.ts";
import { writeArenas } from "../session.ts";
import { openWeights, type Weights } from "../weights.ts";

/** Trained weights, and where programs find them. */
export class Subject implements Disposable {
  private constructor(
    readonly weights: Weights,
    readonly tokenizer: Tokenizer,
    readonly device: GpuDevice,
    readonly states: StateStore,
  ) {}

  /**
   * Opens weights and a device, and brings neither to the other yet.
   *
   * @param path As `openWeights` takes it.
   * @param notify Is told, in one line each, what was passed over.
   * @throws {InputError} when they cannot be had, or not in this precision.
   */
  static async open(path: string, dtype: Precision, notify: (text: string) => void): Promise<Subject> {
    const weights = await openWeights(path, { notify });
    const { config } = weights;
    const tokenizer = await tokenizerFromFile(`${weights.path}/tokenizer.json`, weights.tokenizer);
    if (tokenizer.vocabularySize > config.vocabulary) {
      throw new InputError(
        weights.path,
        `its tokenizer has ${tokenizer.vocabularySize} tokens, its model knows ${config.vocabulary}`,
        "take a model whose tokenizer.json is its own",
      );
    }
    requireSizes(dtype, config);
    await ensureAdapter();
    const device = await openDevice();
    try {
      requirePrecision(dtype, device.capabilities, device.info.description);
    } catch (problem) {
      device.destroy();
      throw problem;
    }
    return new Subject(weights, tokenizer, device, device.createStates());
  }

  /** Brings the weights to the device, once a program has been loaded that reads them. */
  async write(): Promise<void> {
    const layout = layoutParameters(this.weights.config);
    writeArenas(this.states, layout, "params", joinParameters(layout, await this.weights.read()));
  }

  [Symbol.dispose](): void {
    this.device.destroy();
  }
}
