/**
 * The server's log: one line an event, as JSON for machines or as text for people. Values are written as JSON, so that
 * nothing out of a request can break a line.
 *
 * @module
 */

/** How lines are written. */
export const LOG_FORMATS = ["text", "json"] as const;

/** How lines are written: for people or for machines. */
export type LogFormat = typeof LOG_FORMATS[number];

/** Facts of a line. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** One answered request. */
export interface RequestRecord {
  /** The request's id. */
  readonly id: string;
  /** HTTP method. */
  readonly method: string;
  /** Without the query, which may hold what should not be kept. */
  readonly path: string;
  /** HTTP status. */
  readonly status: number;
  /** Milliseconds until the last byte was handed over. */
  readonly ms: number;
  /** Bytes of the response's body. */
  readonly bytes: number;
  /** The client left before the end. */
  readonly aborted: boolean;
}

/** Writes lines to standard error, or wherever `write` sends them. */
export class Log {
  /**
   * Opens a log.
   *
   * @param write Takes a line without its end.
   */
  constructor(readonly format: LogFormat, private readonly write: (line: string) => void = console.error) {}

  /** Something that happened, in a few words, with its facts. */
  note(message: string, fields: LogFields = {}): void {
    this.#line("info", message, fields);
  }

  /** Something that went wrong inside; its stack goes here and nowhere else. */
  problem(problem: unknown, fields: LogFields = {}): void {
    const isError = problem instanceof Error;
    const message = isError ? `${problem.name}: ${problem.message}` : String(problem);
    this.#line("error", message, { ...fields, stack: isError ? problem.stack : undefined });
  }

  /** A request, once it is answered. */
  request(record: RequestRecord): void {
    const { id, method, path, status, bytes, aborted } = record;
    const ms = Math.round(record.ms * 10) / 10;
    if (this.format === "json") {
      this.#line("info", "request", { id, method, path, status, ms, bytes, aborted: aborted || undefined });
    } else {
      const left = aborted ? " (client left)" : "";
      this.write(`${time()} ${status} ${method} ${quoted(path)} ${ms} ms ${bytes} B ${id}${left}`);
    }
  }

  #line(level: "info" | "error", message: string, fields: LogFields): void {
    if (this.format === "json") {
      this.write(JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }));
      return;
    }
    const facts = Object.entries(fields).filter(([, value]) => value !== undefined)
      .map(([name, value]) => name === "stack" ? `\n${value}` : ` ${name}=${quoted(String(value))}`);
    this.write(`${time()} ${level === "error" ? "error: " : ""}${message}${facts.join("")}`);
  }
}

function time(): string {
  return new Date().toISOString().slice(11, 23);
}

/** As it is when it is harmless, otherwise as JSON. */
function quoted(text: string): string {
  return /^[\w./:%~+-]*$/.test(text) ? text : JSON.stringify(text);
}
