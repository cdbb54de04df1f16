/**
 * Lines on a terminal with one status line at the bottom, or plain lines where the output is a file or a pipe.
 *
 * @module
 */
import type { Screen } from "./report.ts";

/** A file descriptor that text can be written to. */
interface Output {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

/** Columns of a terminal that does not tell its size. */
const USUAL_COLUMNS = 80;

/** The terminal, or whatever stands in its place, behind standard output or standard error. */
export class OutputScreen implements Screen {
  readonly #encoder = new TextEncoder();
  #statusShown = false;

  constructor(private readonly output: Output) {}

  get columns(): number | undefined {
    if (!this.output.isTerminal()) return undefined;
    try {
      return Math.max(20, Deno.consoleSize().columns || USUAL_COLUMNS);
    } catch {
      return USUAL_COLUMNS;
    }
  }

  line(text: string): void {
    this.#write(`${this.#statusShown ? "\r\x1b[K" : ""}${text}\n`);
    this.#statusShown = false;
  }

  status(text: string): void {
    this.#write(`\r${text}\x1b[K`);
    this.#statusShown = true;
  }

  /** Lets the status line stand and goes to a line of its own. */
  settle(): void {
    if (this.#statusShown) this.#write("\n");
    this.#statusShown = false;
  }

  #write(text: string): void {
    let bytes = this.#encoder.encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(this.output.writeSync(bytes));
  }
}
