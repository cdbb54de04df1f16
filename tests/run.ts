/**
 * `deno task test`: runs every test of the repository, the quick folders first, and closes with one plain line,
 * `N passed, N failed`. Folders, files and flags of `deno test` may follow: `deno task test compiler --filter gelu`.
 *
 * @module
 */
import { stripAnsiCode } from "@std/fmt/colors";
import { fromFileUrl, join } from "@std/path";
import { ensureAdapter } from "../runtime/adapter.ts";

/** Folders of tests in the order in which they run: what needs no device comes first. */
const FOLDERS = ["compiler", "data", "runtime", "model", "server", "bench"];

/**
 * What tests may do. They start commands of this repository, each with its own task's permissions, and a browser, whose
 * driver looks into `/proc`: that takes all of them.
 */
const PERMISSIONS = ["all"];

const root = fromFileUrl(new URL("..", import.meta.url));
const tests = join(root, "tests");

/** Sums of the summaries that `deno test` writes. */
interface Counts {
  passed: number;
  failed: number;
}

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(args: readonly string[]): Promise<number> {
  const first = args.findIndex((arg) => arg.startsWith("-"));
  const chosen = first < 0 ? args : args.slice(0, first);
  const flags = first < 0 ? [] : args.slice(first);
  const counts: Counts = { passed: 0, failed: 0 };
  try {
    await ensureAdapter();
    for (const target of chosen.length > 0 ? chosen.map(pathOf) : foldersWithTests()) {
      await run(target, flags, counts);
    }
  } catch (problem) {
    console.error(`error: ${problem instanceof Error ? problem.message : problem}`);
    counts.failed++;
  }
  if (counts.passed + counts.failed === 0) console.error("error: no test ran");
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.passed > 0 && counts.failed === 0 ? 0 : 1;
}

/** `compiler` stands for `tests/compiler`. */
function pathOf(name: string): string {
  return FOLDERS.includes(name) ? join(tests, name) : name;
}

function foldersWithTests(): string[] {
  const found = Array.from(Deno.readDirSync(tests)).filter((entry) => entry.isDirectory).map(({ name }) =>
    name
  );
  const rank = (name: string) => (FOLDERS.indexOf(name) + FOLDERS.length + 1) % (FOLDERS.length + 1);
  found.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return found.map((name) => join(tests, name)).filter(hasTests);
}

function hasTests(folder: string): boolean {
  return Array.from(Deno.readDirSync(folder)).some(({ name, isDirectory }) =>
    isDirectory ? hasTests(join(folder, name)) : name.endsWith("_test.ts")
  );
}

/** Runs `deno test`, passes its output on, and adds what its summary says; an end without summary is a failure. */
async function run(target: string, flags: readonly string[], counts: Counts): Promise<void> {
  const permissions = PERMISSIONS.map((name) => `--allow-${name}`);
  const process = new Deno.Command("deno", {
    args: ["test", "--no-prompt", ...permissions, ...flags, target],
    cwd: root,
    env: Deno.stdout.isTerminal() && !Deno.noColor ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" },
    stdout: "piped",
  }).spawn();
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of process.stdout) {
    await writeAll(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  const { success } = await process.status;
  // The last one: a failure may show the summary of tests that a test has run.
  const summary = [...stripAnsiCode(text).matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(
    -1,
  );
  const failed = Number(summary?.[2] ?? 0);
  counts.passed += Number(summary?.[1] ?? 0);
  counts.failed += success ? failed : Math.max(1, failed);
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
