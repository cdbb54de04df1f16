/**
 * `deno task bench server`: a server under load, measured from outside.
 *
 * @module
 */
import { join } from "@std/path";
import { type Flags, helpText, parseFlags } from "../../model/commands/flags.ts";
import { userPath } from "../../model/commands/paths.ts";
import { TrainerClient } from "../../model/trainer_client.ts";
import { ensureAdapter } from "../../runtime/mod.ts";
import { writeWhole } from "../report.ts";
import { stream } from "./client.ts";
import {
  crowd,
  endJob,
  firstToken,
  health,
  isReached,
  leavers,
  type Measure,
  startJob,
  throughput,
  throughputs,
} from "./measures.ts";
import { startServer } from "./process.ts";

const FLAGS = {
  "quick": { kind: "switch", help: "A minute: shorter, and 50 streams at once instead of 200." },
  "json": {
    kind: "text",
    metavar: "FILE",
    help: "Where the figures go; runs/bench/server.json unless said.",
  },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

const ABOUT =
  `Starts a server with a small model of its own and measures it: latency of /healthz and gaps of the main
thread while a job trains, time to the first token, tokens a second of 1, 8 and 32 clients, many streams at once
compared with the same requests alone, clients that leave or stop reading.`;

/** Runs the benchmark; 1 when a target was missed. */
export async function benchServer(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText("deno task bench server [flags]", ABOUT, FLAGS));
    return 0;
  }
  const seconds = values.quick ? 4 : 12;
  await ensureAdapter();
  const runs = await Deno.makeTempDir({ prefix: "sinter-bench-" });
  const measures: Measure[] = [];
  const say = (line: string) => console.error(line);
  const add = (some: readonly Measure[]) => {
    measures.push(...some);
    for (const one of some) console.log(describe(one));
  };
  try {
    say("training a small model");
    await trainSmall(join(runs, "first"));
    await using server = await startServer(runs);
    say(`the server is up at ${server.url}`);
    await stream(server.url, { prompt: "The", maxTokens: 2 });
    say("loading what will be wanted");
    await throughput(server, 32, 3);
    add(await firstToken(server, values.quick ? 10 : 40, "alone"));
    add(await throughputs(server, seconds));
    add(await crowd(server, values.quick ? 50 : 200));
    add(await leavers(server));
    await startJob(server, "busy");
    add(await health(server, seconds));
    add(await firstToken(server, values.quick ? 10 : 40, "while a job trains"));
    const shared = await throughput(server, 8, seconds);
    add([{ name: "tokens a second, 8 clients while a job trains", value: shared, unit: "/s" }]);
    await endJob(server, "busy");
  } finally {
    await Deno.remove(runs, { recursive: true }).catch(() => {});
  }
  const path = values.json === undefined ? "runs/bench/server.json" : userPath(values.json);
  const facts = {
    date: new Date().toISOString(),
    deno: Deno.version.deno,
    cores: navigator.hardwareConcurrency,
  };
  await writeWhole(
    path,
    `${JSON.stringify({ ...facts, quick: values.quick ?? false, measures }, null, 1)}\n`,
  );
  const judged = measures.filter((one) => isReached(one) !== undefined);
  const reached = judged.filter(isReached).length;
  console.log(`\nfigures: ${path}\ntargets: ${reached} of ${judged.length} reached`);
  return reached === judged.length ? 0 : 1;
}

/** A model that has learned a little: enough for its texts to differ. */
async function trainSmall(out: string): Promise<void> {
  const trainer = new TrainerClient(() => {});
  trainer.start({ out, preset: "nano", steps: 20, evalEvery: 0, sampleEvery: 0, saveEvery: 0 });
  const last = await trainer.finished;
  if (last.kind === "failure") throw new Error(last.message);
  trainer.terminate();
}

/** A line of the table. */
export function describe(measure: Measure): string {
  const { name, value, unit, target, atLeast } = measure;
  const figure = `${Number.isInteger(value) ? value : value.toFixed(value < 10 ? 2 : 1)} ${unit}`.trim();
  const wanted = target === undefined
    ? ""
    : `   (${isReached(measure) ? "reached" : "MISSED"}: ${atLeast ? "at least" : "at most"} ${target})`;
  return `${name.padEnd(50)} ${figure.padStart(12)}${wanted}`;
}
