/**
 * Runs the repository's commands as a user's shell would, with exactly the permissions of their tasks.
 *
 * @module
 */

/** The repository's folder. */
export const ROOT = new URL("../../", import.meta.url).pathname;

/** A model that compiles and trains in a moment. */
export const TINY = [
  "--preset=nano",
  "--layers=1",
  "--width=32",
  "--heads=2",
  "--context=16",
  "--micro-batch=2",
];

/** What a command left behind. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `deno task <name>` without the task runner between, so that signals reach the command itself. */
export function start(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Deno.ChildProcess {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)) as {
    tasks: Record<string, string>;
  };
  const [, ...words] = tasks[name].split(" ");
  return new Deno.Command(Deno.execPath(), {
    args: [...words, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a command to its end. */
export async function run(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const { code, stdout, stderr } = await start(name, args, env).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The JSON lines of an output; fails at a line that is none. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** Reads lines from a stream until one fits; the rest can be read by another call. */
export class LineReader {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";
  /** Every line so far. */
  readonly lines: string[] = [];

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line that contains `part`, or undefined at the end. */
  async until(part: string): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        this.lines.push(line);
        if (line.includes(part)) return line;
        continue;
      }
      const { value, done } = await this.#reader.read();
      if (done) return undefined;
      this.#rest += value;
    }
  }

  /** Reads to the end. */
  async rest(): Promise<void> {
    await this.until("\u0000");
  }
}

/** A folder that is removed after `body`. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "sinter-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
