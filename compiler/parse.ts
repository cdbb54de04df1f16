/**
 * Text to graph: reads what `print.ts` writes. Only the grammar is checked here; `verify.ts` tells whether the graph makes
 * sense, so that a test can also write down a broken one.
 *
 * @module
 */
import { type DType, DTYPES } from "./dtype.ts";
import { GraphError } from "./errors.ts";
import type { Attrs, Graph, GraphOutput, Node, NodeId, Origin } from "./graph.ts";
import { PHASE_MARKS, TYPE_ATTRS } from "./print.ts";

/** Text that is no graph. */
export class ParseError extends GraphError {
  /**
   * Made with what is wrong and where.
   *
   * @param problem What was expected, in words.
   * @param line Line of the text, from 1.
   * @param column Column of the line, from 1.
   */
  constructor(readonly problem: string, readonly line: number, readonly column: number) {
    super(`line ${line}, column ${column}: ${problem}`);
  }
}

/**
 * The graph of a text. Empty lines and lines that start with `#` are skipped; a node without an origin belongs to the
 * forward pass and to no scope.
 *
 * @throws {ParseError} at the first character that does not fit.
 * @example
 * ```ts
 * import { parseGraph } from "./parse.ts";
 * const graph = parseGraph(`
 *   %0: f32[3] = input {name="x", role="batch"}
 *   %1: f32[3] = exp %0
 *   return y=%1
 * `);
 * ```
 */
export function parseGraph(text: string): Graph {
  const nodes: Node[] = [];
  let outputs: GraphOutput[] | undefined;
  const lines = text.split(/\r?\n/);
  lines.forEach((content, index) => {
    const line = new LineReader(content, index + 1);
    if (line.atEnd() || line.peek("#")) return;
    if (outputs) throw line.error("nothing may follow the return line");
    if (line.peek("%")) nodes.push(readNode(line));
    else outputs = readOutputs(line);
    if (!line.atEnd()) throw line.error("expected the end of the line");
  });
  if (!outputs) throw new ParseError("expected a return line", lines.length, 1);
  return { nodes, outputs };
}

/** Takes one line apart, skipping blanks between tokens. */
class LineReader {
  #at = 0;

  constructor(readonly text: string, readonly number: number) {
    this.#skip();
  }

  error(problem: string): ParseError {
    return new ParseError(problem, this.number, this.#at + 1);
  }

  atEnd(): boolean {
    return this.#at === this.text.length;
  }

  peek(token: string): boolean {
    return this.text.startsWith(token, this.#at);
  }

  /** Takes `token` if it comes next. */
  take(token: string): boolean {
    if (!this.peek(token)) return false;
    this.#at += token.length;
    this.#skip();
    return true;
  }

  expect(token: string): void {
    if (!this.take(token)) throw this.error(`expected ${token}`);
  }

  /** Takes what `pattern` (sticky) matches. */
  match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) throw this.error(`expected ${what}`);
    this.#at += found.length;
    this.#skip();
    return found;
  }

  #skip(): void {
    while (this.text[this.#at] === " " || this.text[this.#at] === "\t") this.#at++;
  }
}

const NAME = /\w+/y;
const COUNT = /\d+/y;
const NUMBER = /-?(?:Infinity|\d+(?:\.\d*)?(?:e[+-]?\d+)?)|NaN/y;
const QUOTED = /"(?:[^"\\]|\\.)*"/y;
const PLAIN = /[\w.\-/:\\+]+/y;
const PHASE = new RegExp(Object.values(PHASE_MARKS).map((mark) => `#${mark}(?=\\s|$)`).join("|"), "y");

function readNode(line: LineReader): Node {
  const id = readId(line);
  line.expect(":");
  const dtype = line.match(NAME, "a dtype") as DType;
  if (!DTYPES.includes(dtype)) throw line.error(`${dtype} is none of the dtypes ${DTYPES.join(", ")}`);
  line.expect("[");
  const shape = readList(line, "]", () => Number(line.match(COUNT, "a size")));
  line.expect("=");
  const op = line.match(NAME, "an op");
  const inputs: NodeId[] = [];
  while (line.peek("%")) inputs.push(readId(line));
  const attrs: Record<string, Attrs[string]> = {};
  for (const name of TYPE_ATTRS[op] ?? []) attrs[name] = name === "dtype" ? dtype : shape;
  if (line.take("{")) {
    readList(line, "}", () => {
      const name = line.match(NAME, "an attribute");
      line.expect("=");
      attrs[name] = readValue(line);
    });
  }
  return { id, op, inputs, attrs, shape, dtype, origin: readOrigin(line) };
}

function readId(line: LineReader): NodeId {
  line.expect("%");
  return Number(line.match(COUNT, "a node's number"));
}

/** Items between commas, up to and including `end`. */
function readList<T>(line: LineReader, end: string, item: () => T): T[] {
  const items: T[] = [];
  if (line.take(end)) return items;
  do items.push(item()); while (line.take(","));
  line.expect(end);
  return items;
}

function readValue(line: LineReader): Attrs[string] {
  if (line.peek('"')) return readWord(line);
  if (line.take("[")) return readList(line, "]", () => Number(line.match(NUMBER, "a number")));
  if (line.take("true")) return true;
  if (line.take("false")) return false;
  return Number(line.match(NUMBER, "a number, a string, true, false or a list of numbers"));
}

/** A plain word, or a string in JSON's form. */
function readWord(line: LineReader): string {
  if (!line.peek('"')) return line.match(PLAIN, "a name");
  const quoted = line.match(QUOTED, "a closing quote");
  try {
    return JSON.parse(quoted);
  } catch {
    throw line.error(`${quoted} is no string in JSON's form`);
  }
}

function readOrigin(line: LineReader): Origin {
  if (line.atEnd()) return { scope: "", phase: "forward" };
  const mark = line.match(PHASE, "# and the phase").slice(1);
  const phases = Object.keys(PHASE_MARKS) as Origin["phase"][];
  const phase = phases.find((name) => PHASE_MARKS[name] === mark)!;
  const scope = line.atEnd() || line.peek("@") || line.peek("again %") ? "" : readWord(line);
  return {
    ...line.take("@") ? { site: readWord(line) } : {},
    scope,
    phase,
    ...line.take("again") ? { recomputes: readId(line) } : {},
  };
}

function readOutputs(line: LineReader): GraphOutput[] {
  if (line.match(NAME, "a node or a return line") !== "return") throw line.error("expected return");
  const outputs: GraphOutput[] = [];
  if (line.atEnd()) return outputs;
  do {
    const name = readWord(line);
    line.expect("=");
    const node = readId(line);
    if (!line.take("(")) {
      outputs.push({ name, node });
      continue;
    }
    line.expect("donates");
    outputs.push({ name, node, donates: readWord(line) });
    line.expect(")");
  } while (line.take(","));
  return outputs;
}
