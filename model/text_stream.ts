/**
 * Tokens to text, as far as it is certain: the bytes of a character that come in several tokens are held until it is
 * whole, and so is what may turn out to be the beginning of a stop text. What has been let out joins to the text that
 * decoding everything at once would give, up to the first stop text.
 *
 * @module
 */
import type { Tokenizer } from "../data/mod.ts";
import type { GeneratedToken } from "./generation.ts";

/** What has become certain. */
export interface TextPart {
  readonly text: string;
  /** The tokens that it is made of. */
  readonly tokens: readonly GeneratedToken[];
}

/** What is known of a token besides its text. */
export type TokenDetails = Pick<GeneratedToken, "logprob" | "top">;

/** A token, and the length of the text with it. */
interface HeldToken {
  readonly token: GeneratedToken;
  readonly end: number;
}

/** The text of one choice. */
export class TextStream {
  // A byte order mark is a character like others.
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #longest: number;
  #text = "";
  /** Characters that have been let out. */
  #sent = 0;
  /** Where stop texts may begin: after the prompt. */
  #from = 0;
  #held: HeldToken[] = [];
  #isOver = false;

  /** @param stop Texts that end it; empty ones do not count. */
  constructor(private readonly tokenizer: Tokenizer, private readonly stop: readonly string[]) {
    this.stop = stop.filter((text) => text !== "");
    this.#longest = Math.max(0, ...this.stop.map((text) => text.length));
  }

  /** Appends a token of the prompt, in which nothing stops. */
  echo(token: number, details: TokenDetails = {}): void {
    this.#append(token, details);
    this.#from = this.#text.length;
  }

  /**
   * Appends a token that was drawn.
   *
   * @returns True when a stop text is complete: the text ends before it, and nothing more may be appended.
   */
  push(token: number, details: TokenDetails = {}): boolean {
    const before = this.#text.length;
    this.#append(token, details);
    return this.#cut(Math.max(this.#from, before - this.#longest + 1));
  }

  /** Lets go of what was held, an incomplete character as U+FFFD: nothing more will come. */
  end(): void {
    if (this.#isOver) return;
    const before = this.#text.length;
    this.#text += this.#decoder.decode();
    this.#cut(Math.max(this.#from, before - this.#longest + 1));
    this.#isOver = true;
  }

  /** What has become certain since the last call. */
  take(): TextPart {
    const safe = this.#isOver ? this.#text.length : this.#text.length - this.#doubtful();
    const text = this.#text.slice(this.#sent, safe);
    this.#sent = Math.max(this.#sent, safe);
    const held = this.#held.findIndex(({ end, token }) =>
      this.#isOver ? false : end > safe || (end === token.textOffset && end === safe)
    );
    const tokens = this.#held.splice(0, held < 0 ? this.#held.length : held);
    return { text, tokens: tokens.map(({ token }) => token) };
  }

  #append(token: number, details: TokenDetails): void {
    const textOffset = this.#text.length;
    this.#text += this.#decoder.decode(this.tokenizer.decodeBytes([token]), { stream: true });
    const text = this.tokenizer.decode([token]);
    this.#held.push({ token: { token, text, textOffset, ...details }, end: this.#text.length });
  }

  /** Ends the text before the first stop text that begins at `from` or later. */
  #cut(from: number): boolean {
    const found = this.stop.map((text) => this.#text.indexOf(text, from)).filter((at) => at >= 0);
    if (found.length === 0) return false;
    const end = Math.min(...found);
    this.#text = this.#text.slice(0, end);
    this.#held = this.#held.filter(({ token }) => token.textOffset < end);
    this.#isOver = true;
    return true;
  }

  /** Length of the longest end of the text with which a stop text begins. */
  #doubtful(): number {
    const most = Math.min(this.#longest - 1, this.#text.length - Math.max(this.#from, this.#sent));
    for (let length = most; length > 0; length--) {
      const end = this.#text.slice(this.#text.length - length);
      if (this.stop.some((text) => text.length > length && text.startsWith(end))) return length;
    }
    return 0;
  }
}
