/**
 * `deno task data`: builds folders of token shards, from FineWeb-Edu, which it downloads, or from the user's own files.
 *
 * @module
 */
import { pooledMap } from "@std/async/pool";
import { basename, join } from "@std/path";
import {
  type BuildInput,
  type BuildReport,
  buildShards,
  type DatasetFacts,
  downloadedInputs,
  estimateRoom,
  FINEWEB_SAMPLES,
  fineWebSample,
  localInputs,
  parquetInput,
  textInput,
} from "../../data/mod.ts";
import { InputError } from "../errors.ts";
import { freeBytes } from "../run/disk_plan.ts";
import { checkShards } from "./data_check.ts";
import { INTERRUPTED, runCommand } from "./exit.ts";
import { type Flags, type FlagValues, helpText, MANY, parseOperands } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { userPath } from "./paths.ts";
import { ProgressLine } from "./progress_line.ts";
import { OutputScreen } from "./screen.ts";
import { count, megabytes } from "./text.ts";

const FLAGS = {
  "sample": { kind: "choice", choices: FINEWEB_SAMPLES, help: "Sample of FineWeb-Edu; left out: 10BT." },
  "out": { kind: "text", metavar: "DIR", help: "Folder of the shards; it must be given." },
  "format": {
    kind: "choice",
    choices: ["npy", "bin"],
    help: "build-nanogpt's .npy or llm.c's .bin; left out: npy.",
  },
  "files": { kind: "whole", min: 1, max: MANY, help: "Only so many files, from the first on." },
  "shard-tokens": { kind: "whole", min: 1, max: 2 ** 30, help: "Tokens of a shard; left out: 100000000." },
  "workers": { kind: "whole", min: 1, max: 256, help: "Threads that tokenize; left out: one for each core." },
  "parallel": { kind: "whole", min: 1, max: 16, help: "Downloads at once; left out: 2." },
  "keep-parquet": { kind: "switch", help: "Leave the downloads when their tokens are written." },
  "parquet": { kind: "text", metavar: "DIR", help: "Folder that has the parquet files already." },
  "mirror": {
    kind: "text",
    metavar: "URL",
    help: "Server in place of Hugging Face's; left out: HF_ENDPOINT, if it is set.",
  },
  "column": {
    kind: "text",
    metavar: "NAME",
    help: "Column of the text in your own parquet files; left out: text.",
  },
  "json": { kind: "switch", help: "Write the result as JSON." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;
type Values = FlagValues<typeof FLAGS>;

/** Flags of `check`. */
const CHECK_FLAGS = {
  "deep": {
    kind: "switch",
    help: "Read every token, and compare checksums where the folder has a manifest.",
  },
  "json": FLAGS.json,
  "help": FLAGS.help,
} as const satisfies Flags;

const USAGE = `deno task data fineweb-edu --out DIR [flags]
deno task data parquet DIR|FILE --out DIR [flags]
deno task data text FILE|GLOB --out DIR [flags]
deno task data check DIR [--deep] [--json]`;
const ABOUT =
  "Writes token shards that --data shards:DIR trains from: FineWeb-Edu's sample, downloaded; your own\n" +
  "parquet files; or text, also .gz, and JSON lines (.jsonl, .jsonl.gz, and #KEY behind them for the key of the\n" +
  "text). The tokens are GPT-2's. Ended at any point, the same command goes on where it was.";

/** What only FineWeb-Edu has. */
const FINEWEB_FLAGS = ["sample", "parquet", "mirror", "parallel", "keep-parquet"] as const;

/** What is built from. */
interface Source {
  readonly dataset: DatasetFacts;
  readonly prefix: string;
  readonly inputs: readonly BuildInput[];
  readonly downloads?: { readonly folder: string; readonly atOnce: number };
}

async function main(args: readonly string[]): Promise<number> {
  const [kind = "", ...rest] = args[0]?.startsWith("-") ? ["", ...args] : args;
  if (rest.includes("--help") || kind === "") {
    const { values } = parseOperands(FLAGS, [], rest);
    if (!values.help) {
      throw new InputError(
        "data",
        "its source is missing",
        "name fineweb-edu, parquet or text; --help shows how",
      );
    }
    console.log(helpText(USAGE, ABOUT, FLAGS));
    return 0;
  }
  if (kind === "check") {
    const { values, operands: [folder] } = parseOperands(CHECK_FLAGS, ["DIR"], rest);
    return await checkShards(userPath(folder), values);
  }
  if (kind !== "fineweb-edu" && kind !== "parquet" && kind !== "text") {
    throw new InputError(kind, "no such source", "name fineweb-edu, parquet, text or check");
  }
  const names = kind === "fineweb-edu" ? [] : [kind === "text" ? "FILE|GLOB" : "DIR|FILE"];
  const { values, operands: [operand] } = parseOperands(FLAGS, names, rest);
  refuseOthers(kind, values);
  if (values.out === undefined) {
    throw new InputError("--out", "it is missing", "name the folder for the shards");
  }
  const folder = userPath(values.out);
  const screen = new OutputScreen(values.json ? Deno.stderr : Deno.stdout);
  const stop = new AbortController();
  const downloaded = { bytes: 0 };
  const all = kind === "fineweb-edu"
    ? fineWeb(folder, values, stop.signal, (bytes) => downloaded.bytes = bytes)
    : await ownFiles(kind, operand, values);
  const source = { ...all, inputs: all.inputs.slice(0, values.files) };
  await requireRoom(folder, source, screen);
  onInterrupt(() => stop.abort(), () => Deno.exit(INTERRUPTED));
  const show = progress(screen, downloaded);
  try {
    const manifest = await buildShards({
      folder,
      dataset: source.dataset,
      inputs: source.inputs,
      prefix: source.prefix,
      format: values.format ?? "npy",
      shardTokens: values["shard-tokens"] ?? 100_000_000,
    }, { workers: values.workers ?? navigator.hardwareConcurrency, signal: stop.signal, onProgress: show });
    screen.settle();
    const { tokens, documents, shards } = manifest;
    if (values.json) console.log(JSON.stringify({ path: folder, tokens, documents, shards }));
    else {
      screen.line(
        `${count(tokens)} tokens of ${count(documents)} documents in ${shards.length} shards, in ${folder}`,
      );
      screen.line(`train on them: deno task train --tokenizer gpt2 --data shards:${values.out}`);
    }
    return 0;
  } catch (problem) {
    screen.settle();
    if (!stop.signal.aborted) throw problem;
    screen.line("stopped; the same command goes on where it was");
    return INTERRUPTED;
  }
}

function refuseOthers(kind: string, values: Values): void {
  const foreign = kind === "fineweb-edu" ? ["column"] as const : FINEWEB_FLAGS;
  for (const name of foreign) {
    if (values[name] !== undefined) {
      throw new InputError(
        `--${name}`,
        `${kind} has no such choice`,
        "leave it out; --help shows what it is for",
      );
    }
  }
  if (kind === "text" && values.column !== undefined) {
    throw new InputError("--column", "text has no columns", "write #KEY behind a .jsonl file");
  }
}

function fineWeb(
  folder: string,
  values: Values,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Source {
  const { dataset, files } = fineWebSample(values.sample ?? "10BT");
  const used = files.slice(0, values.files);
  const prefix = "edufineweb";
  if (values.parquet !== undefined) {
    return { dataset, prefix, inputs: localInputs(used, userPath(values.parquet)) };
  }
  const parallel = values.parallel ?? 2;
  const keep = values["keep-parquet"];
  const parquet = join(folder, "parquet");
  const token = Deno.env.get("HF_TOKEN");
  const inputs = downloadedInputs(used, {
    folder: parquet,
    mirror: values.mirror ?? (Deno.env.get("HF_ENDPOINT") || undefined),
    parallel,
    keep,
    signal,
    onProgress,
    ...token && { headers: { authorization: `Bearer ${token}` } },
  });
  return {
    dataset,
    prefix,
    inputs,
    downloads: { folder: parquet, atOnce: keep ? used.length : parallel + 1 },
  };
}

async function ownFiles(kind: "parquet" | "text", operand: string, values: Values): Promise<Source> {
  const dataset = { name: basename(operand) };
  if (kind === "text") {
    const paths = await matches(operand);
    return { dataset, prefix: "text", inputs: await Array.fromAsync(pooledMap(8, paths, textInput)) };
  }
  const paths = await matches(await isFolder(userPath(operand)) ? join(operand, "*.parquet") : operand);
  const inputs = await Promise.all(paths.map(async (path) => {
    const { size } = await Deno.stat(path);
    return parquetInput(path, values.column ?? "text", { bytes: size });
  }));
  return { dataset, prefix: "parquet", inputs };
}

async function isFolder(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
}

/** Files that a path with `*` and `?` in its last part names, in the order of their names. */
async function matches(operand: string): Promise<readonly string[]> {
  const name = basename(operand);
  if (!/[*?]/.test(name)) {
    const path = userPath(operand);
    const file = path.replace(/#[^#/]*$/, "");
    if (await isFolder(file)) {
      throw new InputError(operand, "is a folder", `name its files, as in ${operand}/*.txt`);
    }
    if (!await Deno.stat(file).then(({ isFile }) => isFile, () => false)) {
      throw new InputError(operand, "there is no such file", "name a file, or several by *");
    }
    return [path];
  }
  const [, pattern, key = ""] = /^([^#]*)(#.*)?$/.exec(name)!;
  const expression = new RegExp(
    `^${pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".")}$`,
  );
  const folder = userPath(operand.slice(0, operand.length - name.length) || ".");
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(() => {
    throw new InputError(operand, `there is no folder ${folder}`, "name files that are there");
  });
  const names = entries.filter(({ isDirectory, name }) => !isDirectory && expression.test(name)).map((
    { name },
  ) => name);
  if (names.length === 0) {
    throw new InputError(operand, "no file has such a name", "name files that are there");
  }
  return names.sort().map((name) => join(folder, name) + key);
}

async function requireRoom(
  folder: string,
  { inputs, downloads }: Source,
  screen: OutputScreen,
): Promise<void> {
  const { shardBytes, downloadBytes, neededBytes } = await estimateRoom(folder, inputs, downloads);
  const free = freeBytes(folder);
  const parts = [
    `shards ${megabytes(shardBytes)}`,
    ...downloadBytes > 0 ? [`downloads ${megabytes(downloadBytes)} at once`] : [],
    ...free !== undefined ? [`${megabytes(free)} are free`] : [],
  ];
  if (free !== undefined && neededBytes > free) {
    throw new InputError(
      `--out ${folder}`,
      `the build needs some ${megabytes(neededBytes)} (${parts.join(", ")})`,
      "take a folder on a larger disk, fewer --files, or free some space",
    );
  }
  screen.line(`disk: ${parts.join(", ")}`);
}

/** Shows how a build goes on, from its reports and what comes by the way. */
function progress(
  screen: OutputScreen,
  downloaded: { readonly bytes: number },
): (report: BuildReport) => void {
  const line = new ProgressLine(screen);
  const begun = performance.now();
  let first: BuildReport | undefined;
  return (report) => {
    first ??= report;
    const seconds = Math.max(1e-3, (performance.now() - begun) / 1000);
    const { readBytes, totalBytes, tokens, shards } = report;
    const speed = (tokens - first.tokens) / seconds;
    line.show(
      readBytes,
      totalBytes,
      (rate) =>
        `${(100 * readBytes / totalBytes).toFixed(1)}%: ${count(tokens)} tokens, ${shards} shards, ` +
        `${count(Math.round(speed))} tokens/s, ${megabytes(rate)}/s` +
        (downloaded.bytes > 0 ? `, downloads ${megabytes(downloaded.bytes / seconds)}/s` : ""),
    );
  };
}

if (import.meta.main) await runCommand(() => main(Deno.args));
