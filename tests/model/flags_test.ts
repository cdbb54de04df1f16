/**
 * The command line: each wrong argument gives one line with the flag, the value and the remedy.
 *
 * @module
 */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { InputError } from "../../model/errors.ts";
import { type Flags, helpText, parseFlags } from "../../model/commands/flags.ts";

const FLAGS = {
  "steps": { kind: "whole", min: 1, max: 10, help: "Steps." },
  "lr": { kind: "number", min: 0, open: true, max: 1, help: "Learning rate." },
  "mode": { kind: "choice", choices: ["fused", "eager"], help: "Mode." },
  "prompt": { kind: "text", metavar: "TEXT", empty: true, help: "Prompt." },
  "out": { kind: "text", metavar: "DIR", help: "Directory." },
  "json": { kind: "switch", help: "JSON." },
} as const satisfies Flags;

Deno.test("parseFlags() reads every kind of value and leaves out what was not given", () => {
  assertEquals(
    parseFlags(FLAGS, ["--steps", "3", "--lr=1e-3", "--mode", "eager", "--prompt", "", "--json"]),
    {
      steps: 3,
      lr: 1e-3,
      mode: "eager",
      prompt: "",
      json: true,
    },
  );
  assertEquals(parseFlags(FLAGS, []), {});
});

const WRONG: Record<string, string> = {
  "--stpes 3": "--stpes: no such flag; did you mean --steps? --help lists the flags",
  "--steps": "--steps: its value is missing; write --steps N",
  "--steps --json": "--steps: its value is missing; write --steps N",
  "--steps=": "--steps: its value is missing; write --steps N",
  "--steps 1.5": "--steps 1.5: not a whole number; give a whole number of at least 1 and at most 10",
  "--steps 0": "--steps 0: too small; give a whole number of at least 1 and at most 10",
  "--steps 11": "--steps 11: too large; give a whole number of at least 1 and at most 10",
  "--steps 1e1": "--steps 1e1: not a whole number; give a whole number of at least 1 and at most 10",
  "--lr 0": "--lr 0: too small; give a number above 0 and at most 1",
  "--lr nan": "--lr nan: not a number; give a number above 0 and at most 1",
  "--lr -1": "--lr -1: too small; give a number above 0 and at most 1",
  "--mode fast": "--mode fast: no such choice; choose fused, eager",
  "--json=1": "--json=1: takes no value; write --json alone",
  "--steps 1 --steps 2": "--steps: given twice; keep one",
  "--out": "--out: its value is missing; write --out DIR",
  "extra": "extra: not a flag; flags begin with --; --help lists them",
  "-s 3": "-s: no such flag; --help lists the flags",
  "--__proto__ 3": "--__proto__: no such flag; --help lists the flags",
};

for (const [line, message] of Object.entries(WRONG)) {
  Deno.test(`parseFlags() refuses \`${line}\` by name and with a remedy`, () => {
    const problem = assertThrows(() => parseFlags(FLAGS, line.split(" ")), InputError);
    assertEquals(problem.message, message);
  });
}

Deno.test("--help lists every flag", () => {
  const text = helpText("usage", "about", FLAGS);
  for (const [name, flag] of Object.entries(FLAGS)) {
    assertStringIncludes(text, `--${name}`);
    assertStringIncludes(text, flag.help);
  }
});
