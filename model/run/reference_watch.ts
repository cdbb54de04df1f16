/**
 * Compares a run with its reference curve at every validation, and raises an alarm when it falls behind.
 *
 * @module
 */
import { lossAfter, type ReferenceCurve } from "./reference_curves.ts";

/** Nats above the reference that raise the alarm when they are seen twice in a row: several times what seeds differ by. */
const BEHIND = 0.2;
/** Nats above the reference that raise it at once. */
const FAR_BEHIND = 0.5;
/** A standing alarm is repeated when the tokens have grown by this factor. */
const REPEAT_FACTOR = 1.5;

/** A comparison. */
export interface Comparison {
  readonly tokens: number;
  readonly loss: number;
  /** What the reference had after as many tokens. */
  readonly reference: number;
}

/** Keeps account of one run. */
export class ReferenceWatch {
  #isBehind = false;
  #alarmedAt: number | undefined;

  constructor(readonly curve: ReferenceCurve) {}

  /** The reference after as many tokens, where it was measured. */
  after(tokens: number): number | undefined {
    return lossAfter(this.curve.points, tokens);
  }

  /**
   * Takes a validation of the run.
   *
   * @returns The alarm, when one is due: when the run falls behind, and again from time to time while it stays behind.
   */
  check(tokens: number, loss: number): Comparison | undefined {
    const reference = this.after(tokens);
    if (reference === undefined) return undefined;
    const gap = loss - reference;
    const wasBehind = this.#isBehind;
    this.#isBehind = !(gap <= BEHIND);
    if (!this.#isBehind) {
      this.#alarmedAt = undefined;
      return undefined;
    }
    const isAlarming = wasBehind || !(gap <= FAR_BEHIND);
    const isRepeated = this.#alarmedAt !== undefined && tokens < this.#alarmedAt * REPEAT_FACTOR;
    if (!isAlarming || isRepeated) return undefined;
    this.#alarmedAt = tokens;
    return { tokens, loss, reference };
  }
}

/** The alarm as one line. */
export function alarmText({ tokens, loss, reference }: Comparison, { name, source }: ReferenceCurve): string {
  const gap = `${(loss - reference).toFixed(2)} above the ${reference.toFixed(3)} of ${name} (${source})`;
  return `ALARM: after ${tokensText(tokens)} the validation loss is ${
    loss.toFixed(3)
  }, ${gap}: something is wrong; ` +
    "look at data, learning rate and batch size before you go on";
}

function tokensText(tokens: number): string {
  const [count, unit] = tokens < 1e6 ? [tokens, "tokens"] : [Math.round(tokens / 1e6), "million tokens"];
  return `${count.toLocaleString("en-US")} ${unit}`;
}
