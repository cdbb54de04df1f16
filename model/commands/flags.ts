/**
 * Command-line flags, strictly: an unknown flag, a missing or a wrong value is an {@link InputError} that names the
 * flag, the value and the remedy. A command declares its flags once; parsing and `--help` both read the declaration.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { InputError } from "../errors.ts";
import type { TuneChoice } from "../tuning.ts";

/** A flag with a whole number. */
interface WholeFlag {
  readonly kind: "whole";
  readonly min: number;
  readonly max: number;
}
/** A flag with a finite number of at least `min`, or above it when `open`. */
interface NumberFlag {
  readonly kind: "number";
  readonly min: number;
  readonly open?: boolean;
  readonly max: number;
}
/** A flag with any text. */
interface TextFlag {
  readonly kind: "text";
  readonly metavar: string;
  /** The text may be empty. */
  readonly empty?: boolean;
}
/** A flag with any text that may be given again and again. */
interface ListFlag {
  readonly kind: "list";
  readonly metavar: string;
}
/** A flag with one of a few words. */
interface ChoiceFlag<Choice extends string = string> {
  readonly kind: "choice";
  readonly choices: readonly Choice[];
}
/** A flag without a value. */
interface SwitchFlag {
  readonly kind: "switch";
}

/** One flag: its values, and a line of help. */
export type Flag = (WholeFlag | NumberFlag | TextFlag | ListFlag | ChoiceFlag | SwitchFlag) & {
  readonly help: string;
};

/** The flags of a command, by name without the dashes. */
export type Flags = Readonly<Record<string, Flag>>;

type ValueOf<F extends Flag> = F extends WholeFlag | NumberFlag ? number
  : F extends ChoiceFlag<infer Choice> ? Choice
  : F extends SwitchFlag ? true
  : F extends ListFlag ? readonly string[]
  : string;

/** What the user gave: flags that were left out are absent. */
export type FlagValues<F extends Flags> = { readonly [Name in keyof F]?: ValueOf<F[Name]> };

/** Largest number for counts that have no limit of their own. */
export const MANY = 2 ** 31 - 1;

/**
 * Parses a command line.
 *
 * @example
 * ```ts
 * import { parseFlags } from "./flags.ts";
 * const flags = { steps: { kind: "whole", min: 1, max: 10, help: "Steps." } } as const;
 * parseFlags(flags, ["--steps", "3"]).steps; // 3
 * ```
 * @throws {InputError} at the first argument that is wrong.
 */
export function parseFlags<F extends Flags>(flags: F, args: readonly string[]): FlagValues<F> {
  return parseOperands(flags, [], args).values;
}

/**
 * As {@link parseFlags}, for a command that also takes words that are no flags.
 *
 * @param names What the usage line calls them; each is needed, unless `--help` is given.
 * @throws {InputError} at the first argument that is wrong, one too many or one too few.
 */
export function parseOperands<F extends Flags>(
  flags: F,
  names: readonly string[],
  args: readonly string[],
): { readonly values: FlagValues<F>; readonly operands: readonly string[] } {
  const operands: string[] = [];
  const options = Object.fromEntries(
    Object.entries(flags).map((
      [name, flag],
    ) => [name, { type: flag.kind === "switch" ? "boolean" as const : "string" as const }]),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (operands.length === names.length) {
        const problem = names.length === 0 ? "not a flag" : "one word too many";
        throw new InputError(token.value, problem, "flags begin with --; --help lists them");
      }
      operands.push(token.value);
      continue;
    }
    if (token.kind === "option-terminator") continue;
    const flag: Flag | undefined = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
    if (!flag || !token.rawName.startsWith("--")) {
      throw new InputError(token.rawName, "no such flag", suggestion(token.rawName, Object.keys(flags)));
    }
    const value = parseValue(token.name, flag, token.value, token.inlineValue === true);
    if (flag.kind === "list") values[token.name] = [...values[token.name] as string[] ?? [], value];
    else if (!Object.hasOwn(values, token.name)) values[token.name] = value;
    else throw new InputError(token.rawName, "given twice", "keep one");
  }
  if (operands.length < names.length && !values.help) {
    throw new InputError(names[operands.length], "it is missing", "--help shows what to write");
  }
  return { values: values as FlagValues<F>, operands };
}

function parseValue(name: string, flag: Flag, text: string | undefined, inline: boolean): unknown {
  const flagName = `--${name}`;
  if (flag.kind === "switch") {
    if (text !== undefined) {
      throw new InputError(`${flagName}=${text}`, "takes no value", `write ${flagName} alone`);
    }
    return true;
  }
  const empty = text === "" && !(flag.kind === "text" && flag.empty);
  if (text === undefined || empty || (!inline && text.startsWith("--"))) {
    throw new InputError(flagName, "its value is missing", `write ${flagName} ${describe(flag)}`);
  }
  const wrong = (problem: string, remedy: string) => new InputError(`${flagName} ${text}`, problem, remedy);
  switch (flag.kind) {
    case "text":
    case "list":
      return text;
    case "choice":
      if (flag.choices.includes(text)) return text;
      throw wrong("no such choice", `choose ${flag.choices.join(", ")}`);
    case "whole":
    case "number": {
      const whole = flag.kind === "whole";
      const value = Number(text);
      const pattern = whole ? /^[-+]?\d+$/ : /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
      const open = flag.kind === "number" && flag.open === true;
      const from = open ? `above ${flag.min}` : `of at least ${flag.min}`;
      const range = flag.max >= MANY ? from : `${from} and at most ${flag.max}`;
      const remedy = `give a ${whole ? "whole " : ""}number ${range}`;
      if (!pattern.test(text)) throw wrong(`not a ${whole ? "whole " : ""}number`, remedy);
      const low = open ? value <= flag.min : value < flag.min;
      if (low || value > flag.max) throw wrong(`too ${low ? "small" : "large"}`, remedy);
      return value;
    }
  }
}

function describe(flag: Flag): string {
  if (flag.kind === "text" || flag.kind === "list") return flag.metavar;
  if (flag.kind === "choice") return flag.choices.join("|");
  return flag.kind === "switch" ? "" : "N";
}

function suggestion(given: string, names: readonly string[]): string {
  const name = given.replace(/^-+/, "");
  const near = names.map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const hint = near && near.distance <= Math.min(2, name.length >> 1)
    ? `did you mean --${near.candidate}? `
    : "";
  return `${hint}--help lists the flags`;
}

/** Levenshtein's distance: the fewest insertions, deletions and substitutions. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

/**
 * What the two switches about tuning say together.
 *
 * @throws {InputError} when both are given.
 */
export function tuneChoice(values: { readonly "tune"?: true; readonly "no-tune"?: true }): TuneChoice {
  if (values.tune && values["no-tune"]) throw new InputError("--tune", "given with --no-tune", "keep one");
  return values.tune ? "always" : values["no-tune"] ? "never" : "auto";
}

/** The text of `--help`: a usage line, what the command does, and a line for each flag. */
export function helpText(usage: string, about: string, flags: Flags): string {
  const heads = Object.entries(flags).map(([name, flag]) => `--${name} ${describe(flag)}`.trimEnd());
  const width = Math.min(28, Math.max(...heads.map((head) => head.length)));
  const lines = Object.values(flags).map(({ help }, index) =>
    heads[index].length > width
      ? `  ${heads[index]}\n  ${" ".repeat(width)}  ${help}`
      : `  ${heads[index].padEnd(width)}  ${help}`
  );
  return `${usage}\n\n${about}\n\n${lines.join("\n")}\n`;
}
