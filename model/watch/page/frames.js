// @ts-check
/**
 * The page's numbers, unpacked: what was seen at each step.
 *
 * @module
 */

/** @import { PageData } from "./wire.d.ts" */

/** Reads the block of numbers, see `wire.d.ts`. @param {PageData} data */
export async function openFrames(data) {
  const packed = Uint8Array.from(atob(data.packed), (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const buffer = await new Response(stream).arrayBuffer();
  if (buffer.byteLength !== data.bytes) throw new Error("the page's data is damaged");
  return new Frames(data, buffer);
}

/** What was seen at each step. Steps, heads and positions are counted from 0; head h of layer l is l · heads + h. */
export class Frames {
  /** @type {Uint32Array} */ #topTokens;
  /** @type {Uint16Array} */ #topLogprobs;
  /** @type {Uint16Array} */ #next;
  /** @type {Uint8Array} */ #scores;
  /** @type {Uint8Array} */ #attention;

  /**
   * @param {PageData} data
   * @param {ArrayBuffer} buffer
   */
  constructor(data, buffer) {
    this.data = data;
    const { steps: { length: S }, prompt: { length: P }, top: K, scores, model } = data;
    /** Heads of all layers. */
    this.heads = model.layers * model.heads;
    /** Tokens of the prompt. */
    this.size = P;
    /** Entries of one map. */
    this.entries = P * (P + 1) / 2;
    let at = 0;
    /** @param {number} length @param {number} width */
    const take = (length, width) => {
      const start = at;
      at += length * width;
      return start;
    };
    const top = S * P * K;
    this.#topTokens = new Uint32Array(buffer, take(top, 4), top);
    this.#topLogprobs = new Uint16Array(buffer, take(top, 2), top);
    this.#next = new Uint16Array(buffer, take(S * (P - 1), 2), S * (P - 1));
    this.#scores = new Uint8Array(
      buffer,
      take(S * this.heads * scores.length, 1),
      S * this.heads * scores.length,
    );
    this.#attention = new Uint8Array(buffer, at);
  }

  /** Steps that there are. */
  get length() {
    return this.data.steps.length;
  }

  /**
   * One head's map: row i has i + 1 bytes, the square roots of weights in 255ths.
   *
   * @param {number} index
   * @param {number} head
   */
  map(index, head) {
    const start = (index * this.heads + head) * this.entries;
    return this.#attention.subarray(start, start + this.entries);
  }

  /**
   * The weight that `row` gives to `column`.
   *
   * @param {number} index
   * @param {number} head
   * @param {number} row
   * @param {number} column
   */
  weight(index, head, row, column) {
    return (this.map(index, head)[row * (row + 1) / 2 + column] / 255) ** 2;
  }

  /**
   * A head's score, NaN where there is none.
   *
   * @param {number} index
   * @param {number} head
   * @param {string} name
   */
  score(index, head, name) {
    const { scores } = this.data;
    const byte = this.#scores[(index * this.heads + head) * scores.length + scores.indexOf(name)];
    return byte === 255 ? NaN : byte / 250;
  }

  /**
   * The likeliest tokens after a position, likeliest first.
   *
   * @param {number} index
   * @param {number} position
   */
  top(index, position) {
    const { top: K } = this.data;
    const start = (index * this.size + position) * K;
    return Array.from({ length: K }, (_, place) => ({
      token: this.#topTokens[start + place],
      probability: Math.exp(-this.#topLogprobs[start + place] / 1000),
    }));
  }

  /**
   * The probability of the token that really follows; undefined after the last one.
   *
   * @param {number} index
   * @param {number} position
   */
  next(index, position) {
    if (position >= this.size - 1) return undefined;
    return Math.exp(-this.#next[index * (this.size - 1) + position] / 1000);
  }

  /** Mean loss of the prompt in nats. @param {number} index */
  promptLoss(index) {
    const count = this.size - 1;
    const values = this.#next.subarray(index * count, (index + 1) * count);
    return values.reduce((sum, value) => sum + value, 0) / count / 1000;
  }

  /** A token of the prompt as it is shown. @param {number} position */
  promptText(position) {
    return this.data.texts[this.data.prompt[position]];
  }
}

/** The patterns that a head may follow, with what they mean; entropy is none. */
export const PATTERNS = /** @type {const} */ (["previous", "first", "self", "same", "induction"]);

/** What the scores are called. @type {Readonly<Record<string, string>>} */
export const SCORE_NAMES = {
  previous: "previous token",
  first: "first token",
  self: "itself",
  same: "same token",
  induction: "induction",
  entropy: "evenness",
};

/** What the scores mean. @type {Readonly<Record<string, string>>} */
export const SCORE_HELP = {
  previous: "mean weight that each token of the prompt gives to the token before it",
  first: "mean weight on the first token of the prompt, where heads look that have nothing to do",
  self: "mean weight that each token of the prompt gives to itself",
  same: "random tokens, repeated once: mean weight on the same token, one repetition earlier",
  induction:
    "random tokens, repeated once: mean weight on what came after the same token before; such heads copy, and make in-context learning",
  entropy: "entropy of the weights by that of even ones: 1 looks at everything, 0 at one token",
};

/**
 * The pattern that a head follows most, and how much.
 *
 * @param {Frames} frames
 * @param {number} index
 * @param {number} head
 */
export function mainPattern(frames, index, head) {
  /** @type {{ name: string, score: number }} */
  let best = { name: "previous", score: 0 };
  for (const name of PATTERNS) {
    const score = frames.score(index, head, name);
    if (score > best.score) best = { name, score };
  }
  return best;
}
