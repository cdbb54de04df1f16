/**
 * Runs the peers: each case of each peer in a process of its own, so that a crash, an endless loop or a full memory
 * costs that case alone and becomes a result with an error. `deno run -A bench/peers/run.ts` prints a table.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { stripAnsiCode } from "@std/fmt/colors";
import { fromFileUrl } from "@std/path";
import { CACHE, WIDTH } from "../../runtime/vector_width.ts";
import { PEER_CASES, type PeerCase } from "./cases.ts";
import { parseResultLine, PEER_NAMES, type PeerName, type PeerResult } from "./protocol.ts";

/** Which peers to run, on what. */
export interface PeerOptions {
  /** All of them unless said. */
  readonly peers?: readonly PeerName[];
  /** Names from `cases.ts`; all that a peer can do unless said. */
  readonly cases?: readonly string[];
  /** Timed runs of each case, after warm-up. Three unless said. */
  readonly repeats?: number;
  /** Seconds that a case may take, its start included; {@link secondsFor} unless said. */
  readonly seconds?: (one: string) => number;
  /** Environment variables for the peers' processes, beside this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Arguments of `deno` that run a peer's program; for tests. Those in `programs/` unless said. */
  readonly program?: (peer: PeerName) => readonly string[];
}

const FOLDER = new URL("./programs/", import.meta.url);

/** Whether a case is measured on a peer: jax-js's WebAssembly stands for the processor, on products and steps. */
export function concerns(peer: PeerName, one: PeerCase): boolean {
  return peer !== "jax-wasm" || one.kind === "matmul" || one.kind === "step";
}

/** Seconds that are ample for a case on two processor cores, with others at work on them. */
export function secondsFor(one: string): number {
  if (!one.startsWith("step-")) return 120;
  return one.endsWith("-v256") ? 300 : 900;
}

/**
 * Yields a result for each case, as they come. Never throws for what a peer does: failures are results with an error.
 * The processes inherit this one's environment: after `ensureAdapter()` the peers get the driver that Sinter gets, with
 * the same settings. On first use Deno brings the peers' packages into `bench/peers/programs/node_modules`, which nothing else needs.
 */
export async function* runPeers(options: PeerOptions = {}): AsyncGenerator<PeerResult> {
  const { peers = PEER_NAMES, repeats = 3, seconds = secondsFor, environment = {} } = options;
  const missing = options.program ? undefined : await installPackages();
  const program = options.program ?? programOf;
  for (const peer of peers) {
    const known = PEER_CASES.filter((one) => concerns(peer, one)).map((one) => one.name);
    for (const one of options.cases ?? known) {
      if (options.cases && PEER_CASES.some(({ name }) => name === one) && !known.includes(one)) continue;
      if (missing) {
        yield failure(peer, one, missing);
        continue;
      }
      const args = [...program(peer), "--cases", one, "--repeats", String(repeats)];
      yield await runCase(peer, one, args, seconds(one), environment);
    }
  }
}

/** Arguments of `deno` for a peer's program. */
function programOf(peer: PeerName): string[] {
  const path = fromFileUrl(new URL(peer === "tfjs" ? "tfjs.ts" : "jax.ts", FOLDER));
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-check",
    "--config",
    fromFileUrl(new URL("deno.json", FOLDER)),
    "--allow-read",
    "--allow-env",
    "--allow-sys",
    `--allow-ffi=${fromFileUrl(new URL("../../.cache", import.meta.url))}`,
    path,
    ...(peer === "jax-wasm" ? ["--backend", "wasm"] : []),
  ];
}

/** Installs the locked packages, which takes a moment when they are there; what went wrong, or undefined. */
async function installPackages(): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command("deno", {
    args: ["install", "--quiet", "--frozen"],
    cwd: fromFileUrl(FOLDER),
    stdout: "null",
    stderr: "piped",
  }).output();
  return success
    ? undefined
    : `the packages cannot be installed: ${reasonIn(new TextDecoder().decode(stderr))}`;
}

/** Ours without what Sinter asks of lavapipe: peers run as their users would run them, which is faster for them. */
function peersEnvironment(): Record<string, string> {
  const { [WIDTH]: _width, [CACHE]: _cache, ...rest } = Deno.env.toObject();
  return rest;
}

async function runCase(
  peer: PeerName,
  one: string,
  args: readonly string[],
  seconds: number,
  environment: Readonly<Record<string, string>>,
): Promise<PeerResult> {
  const process = new Deno.Command("deno", {
    args: [...args],
    env: { ...peersEnvironment(), ...environment },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    process.kill("SIGKILL");
  }, seconds * 1000);
  try {
    const [stdout, stderr, status] = await Promise.all([
      new Response(process.stdout).text(),
      new Response(process.stderr).text(),
      process.status,
    ]);
    const result = stdout.split("\n").map(parseResultLine).find((found) =>
      found?.case === one && found.peer === peer
    );
    if (result) return result;
    if (late) return failure(peer, one, `no answer within ${seconds} s`);
    if (status.signal) {
      return failure(
        peer,
        one,
        `ended by ${status.signal}${status.signal === "SIGKILL" ? ", perhaps out of memory" : ""}`,
      );
    }
    return failure(peer, one, `ended with exit code ${status.code} and no result: ${reasonIn(stderr)}`);
  } finally {
    clearTimeout(timer);
  }
}

function failure(peer: PeerName, one: string, error: string): PeerResult {
  return { peer, backend: peer === "jax-wasm" ? "wasm" : "webgpu", version: "", case: one, error };
}

/** The line of a program's complaints that says most: the first that names an error, or else the end. */
function reasonIn(text: string): string {
  const plain: string = stripAnsiCode(text);
  const lines = plain.trim().split("\n").map((line) => line.trim());
  return lines.find((line) => /error:/i.test(line)) ?? lines.slice(-3).join(" | ");
}

/** One line of the table. */
export function describeResult(result: PeerResult): string {
  const { ms, gflops, tokensPerSecond, dispatches, peakBytes, error } = result;
  const rate = gflops !== undefined
    ? `${gflops.toFixed(1)} GFLOP/s`
    : tokensPerSecond !== undefined
    ? `${tokensPerSecond.toFixed(0)} tokens/s`
    : "";
  const times = ms ? `${ms.median.toFixed(1)} (${ms.min.toFixed(1)} - ${ms.max.toFixed(1)})` : "-";
  return [
    result.peer.padEnd(9),
    result.case.padEnd(26),
    times.padStart(28),
    rate.padStart(16),
    `${dispatches ?? "-"}`.padStart(6),
    (peakBytes === undefined ? "-" : `${(peakBytes / 1e6).toFixed(0)} MB`).padStart(9),
    error ? ` error: ${error.length > 300 ? `${error.slice(0, 300)}…` : error}` : "",
  ].join(" ").trimEnd();
}

const HELP = `deno run -A bench/peers/run.ts [--peers jax,tfjs,jax-wasm] [--cases a,b] [--repeats 3] [--json]

Measures other libraries on this machine, each case in a process of its own. With --json a result a line.
Cases: ${PEER_CASES.map(({ name }) => name).join(", ")}`;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const fail = (message: string): never => {
    console.error(`peers: ${message}`);
    Deno.exit(2);
  };
  const flags = parseArgs(Deno.args, {
    string: ["peers", "cases", "repeats"],
    boolean: ["json", "help"],
    unknown: (name: string) => fail(`unknown argument ${name}: see --help`),
  });
  if (flags.help) return console.log(HELP);
  const list = <T extends string>(value: string | undefined, known: readonly T[], what: string) =>
    value?.split(",").map((name) =>
      known.find((one) => one === name) ?? fail(`no ${what} ${name}: see --help`)
    );
  const repeats = Number(flags.repeats ?? 3);
  if (!Number.isInteger(repeats) || repeats < 1) fail(`--repeats ${flags.repeats} is no number of runs`);
  if (!flags.json) {
    console.log(
      `${"peer".padEnd(9)} ${"case".padEnd(26)} ${"ms (min - max)".padStart(28)} ${"rate".padStart(16)} ` +
        `${"calls".padStart(6)} ${"peak".padStart(9)}`,
    );
  }
  const options = {
    peers: list(flags.peers, PEER_NAMES, "peer"),
    cases: list(flags.cases, PEER_CASES.map(({ name }) => name), "case"),
    repeats,
  };
  for await (const result of runPeers(options)) {
    console.log(flags.json ? JSON.stringify(result) : describeResult(result));
  }
}
