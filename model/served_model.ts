/**
 * A trained model on a device, ready to answer requests: its weights, a cache, and the batcher that shares it out.
 *
 * @module
 */
import { loadTokenizer, type Tokenizer, type TokenizerName } from "../data/mod.ts";
import type { GpuDevice } from "../runtime/mod.ts";
import { Batcher, type BatcherLimits } from "./batcher.ts";
import { GPT2_VOCABULARY, type ModelConfig } from "./config.ts";
import { Decoder, type DecoderOptions } from "./decoder.ts";
import { NO_FEATURES } from "./draw_program.ts";
import { joinParameters, layoutParameters } from "./params.ts";
import { writeServing } from "./serving_layout.ts";
import type { Weights } from "./weights.ts";

/** How a model is served. */
export interface ServeOptions extends BatcherLimits, Omit<DecoderOptions, "slots"> {
  /** Sequences that are continued at once, if there is room for their caches. */
  readonly maxSlots: number;
  /** Memory that caches may take, in bytes. */
  readonly cacheBytes: number;
  /** Load every program that requests are likely to need, and not only what a single one does. */
  readonly loadsAll?: boolean;
}

/** The tokenizer that a model was trained with. */
export function tokenizerOf({ vocabulary }: ModelConfig): TokenizerName {
  return vocabulary === GPT2_VOCABULARY ? "gpt2" : "bytes";
}

/** A model that answers. */
export class ServedModel {
  private constructor(
    readonly weights: Weights,
    readonly tokenizer: Tokenizer,
    readonly decoder: Decoder,
    readonly batcher: Batcher,
  ) {}

  /**
   * Brings a model to a device, with programs.
   *
   * @throws {CheckpointError} when its tensors cannot be read.
   * @throws {LimitError} when the device has no room for it.
   */
  static async open(device: GpuDevice, weights: Weights, options: ServeOptions): Promise<ServedModel> {
    const { config } = weights;
    const tokenizer = await loadTokenizer(tokenizerOf(config));
    const states = device.createStates();
    const slots = Decoder.fittingSlots(device, config, options.maxSlots, options.cacheBytes);
    const decoder = new Decoder(device, states, config, { ...options, slots });
    try {
      await decoder.load(
        options.loadsAll ? decoder.likelyNeeds : [
          { kind: "step", sequences: 1, features: NO_FEATURES },
          { kind: "prefill", tokens: 1 },
        ],
      );
      const tensors = await weights.read();
      const layout = layoutParameters(config);
      writeServing(states, layout, joinParameters(layout, tensors), options.dtype);
    } catch (problem) {
      decoder.destroy();
      throw problem;
    }
    return new ServedModel(weights, tokenizer, decoder, new Batcher(decoder, tokenizer, options));
  }

  /** Bytes that weights, cache and programs take on the device. */
  get deviceBytes(): number {
    return this.decoder.deviceBytes;
  }

  /** Gives the device's memory back. Nothing may be under way. */
  destroy(): void {
    this.decoder.destroy();
  }
}
