/**
 * Collects the lines of a WGSL module with indentation and fresh names. Every generator writes through it, so that
 * generated kernels look alike and can be read.
 *
 * @module
 */

/** A growing piece of WGSL text. */
export class Writer {
  readonly #lines: string[] = [];
  #indent = 0;
  #names = 0;

  /** Appends one line at the current indentation. */
  line(text: string): void {
    this.#lines.push("  ".repeat(this.#indent) + text);
  }

  /** Appends `header {`, or a bare `{` for an empty header, runs `body` one level deeper, and closes the brace. */
  block(header: string, body: () => void): void {
    this.line(header === "" ? "{" : `${header} {`);
    this.#indent++;
    body();
    this.#indent--;
    this.line("}");
  }

  /** Binds `expression` to a fresh name with `let` and returns the name. */
  let(expression: string, prefix = "v"): string {
    const name = this.fresh(prefix);
    this.line(`let ${name} = ${expression};`);
    return name;
  }

  /** A name that this writer has not given out before. */
  fresh(prefix = "v"): string {
    return `${prefix}${this.#names++}`;
  }

  /** The text so far. */
  toString(): string {
    return this.#lines.join("\n") + "\n";
  }
}
