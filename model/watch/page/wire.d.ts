/**
 * What the command writes into the page, and the page reads.
 *
 * Shape letters: S steps, L layers, H heads, P tokens of the prompt, K likeliest tokens.
 */
export interface PageData {
  /** What the model is called. */
  readonly name: string;
  /** Where the steps come from, such as `30 checkpoints`. */
  readonly source: string;
  readonly model: {
    readonly layers: number;
    readonly width: number;
    readonly heads: number;
    readonly context: number;
    readonly vocabulary: number;
  };
  readonly parameters: number;
  readonly tokenizer: string;
  /** Steps of training, ascending; one for a single model, and -1 where that is not known. */
  readonly steps: readonly number[];
  /** Tokens of the prompt, P. */
  readonly prompt: readonly number[];
  /** Texts of all tokens that occur, by number. */
  readonly texts: Readonly<Record<string, string>>;
  /** K. */
  readonly top: number;
  /** Names of the scores. */
  readonly scores: readonly string[];
  /** Text that the model added to the prompt, S. */
  readonly samples: readonly string[];
  /** Mean loss of the first and the second half of the sequence that repeats itself, S; null where it is too short. */
  readonly repeatLoss: readonly (readonly [number | null, number | null])[];
  /** Root mean squares of parameters that snapshots hold, by name, S each. */
  readonly tensors: readonly { readonly name: string; readonly rms: readonly number[] }[];
  /** Steps and losses from the run's figures. */
  readonly loss: {
    readonly train: readonly (readonly [number, number])[];
    readonly validation: readonly (readonly [number, number])[];
  };
  /** Bytes of `packed` when they are inflated. */
  readonly bytes: number;
  /**
   * Base64 of the deflated (RFC 1951, no framing) arrays, little endian, one after the other: likeliest tokens u32 [S, P, K];
   * their log-probabilities u16 [S, P, K] in thousandths below 0; those of the prompt's own next tokens u16 [S, P - 1]; scores u8
   * [S, L, H, scores] in 250ths, 255 for none; attention u8 [S, L, H, P (P + 1) / 2], square roots of weights in 255ths.
   */
  readonly packed: string;
}
