/**
 * What `deno task bench` may be asked for.
 *
 * @module
 */
import { parseFlags } from "../model/commands/flags.ts";
import { userPath } from "../model/commands/paths.ts";
import { InputError } from "../model/errors.ts";
import { caseNamed, STEP_CASES, type StepCase } from "./cases.ts";

/** Parts of a run, in their order. */
export const PARTS = ["ladder", "kernels", "decode", "matmul", "operations", "steps"] as const;

/** A part of a run. */
export type Part = (typeof PARTS)[number];

/** Words that `--only` takes: the parts, and `peers` for all in which peers take part. */
const WORDS: Readonly<Record<string, readonly Part[]>> = {
  ...Object.fromEntries(PARTS.map((part) => [part, [part]])),
  peers: ["matmul", "operations", "steps"],
};

/** The flags. */
export const FLAGS = {
  "quick": {
    kind: "switch",
    help: "Two or three minutes: fewer rounds, small cases, peers on the smallest.",
  },
  "rounds": {
    kind: "whole",
    min: 1,
    max: 1000,
    help: "Measurements of each rung; 5 unless said, 2 with --quick.",
  },
  "case": {
    kind: "text",
    metavar: "NAME",
    help: "Climb the ladder with this model only; --help lists them.",
  },
  "only": { kind: "text", metavar: "PART,...", help: `Parts to run: ${Object.keys(WORDS).join(", ")}.` },
  "no-peers": { kind: "switch", help: "Leave the other libraries out." },
  "memory": { kind: "number", min: 0, open: true, max: 1e6, help: "GiB of the device that rungs may take." },
  "json": {
    kind: "text",
    metavar: "FILE",
    help: "Where the figures go; runs/bench/<adapter>.json unless said.",
  },
  "svg": {
    kind: "text",
    metavar: "FILE",
    help: "Where the picture goes; runs/bench/<adapter>.svg unless said.",
  },
  "help": { kind: "switch", help: "Show this text." },
} as const;

/** What a run is to do. */
export interface BenchOptions {
  readonly quick: boolean;
  readonly rounds: number;
  readonly parts: ReadonlySet<Part>;
  /** The only model to climb with. */
  readonly shape?: StepCase;
  readonly peers: boolean;
  readonly budgetBytes?: number;
  readonly json?: string;
  readonly svg?: string;
}

/**
 * Reads the command line; undefined when only help is asked for.
 *
 * @throws {InputError} which says what to do instead.
 */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const values = parseFlags(FLAGS, args);
  if (values.help) return undefined;
  const { quick = false, memory, json, svg } = values;
  const shape = values.case === undefined ? undefined : caseNamed(values.case);
  if (values.case !== undefined && !shape) {
    throw new InputError(`--case ${values.case}`, "no such case", `take ${caseList()}`);
  }
  const words = values.only?.split(",") ?? PARTS;
  const unknown = words.find((word) => !Object.hasOwn(WORDS, word));
  if (unknown !== undefined) {
    throw new InputError(
      `--only ${values.only}`,
      `${unknown} is no part`,
      `take ${Object.keys(WORDS).join(", ")}`,
    );
  }
  return {
    quick,
    rounds: values.rounds ?? (quick ? 2 : 5),
    parts: new Set(words.flatMap((word) => WORDS[word])),
    shape,
    peers: !values["no-peers"],
    budgetBytes: memory === undefined ? undefined : memory * 2 ** 30,
    json: json === undefined ? undefined : userPath(json),
    svg: svg === undefined ? undefined : userPath(svg),
  };
}

/** Names of the cases. */
export function caseList(): string {
  return STEP_CASES.map(({ name }) => name).join(", ");
}
