/**
 * What `deno task serve` is told: by flags, and by the environment where it is secret.
 *
 * @module
 */
import { type Flags, helpText, MANY, parseFlags } from "../model/commands/flags.ts";
import { userPath } from "../model/commands/paths.ts";
import { parseMemory } from "../model/memory.ts";
import { InputError } from "../model/mod.ts";
import type { Tokens } from "./http/access.ts";
import { LOG_FORMATS, type LogFormat } from "./http/log.ts";
import { isLoopback } from "./http/origin.ts";

/** What served weights may be kept in: what every adapter can read. */
const SERVED_DTYPES = ["f32", "bf16"] as const;

const FLAGS = {
  "host": {
    kind: "text",
    metavar: "ADDRESS",
    help: "Where to listen; left out: 127.0.0.1, this machine only.",
  },
  "port": { kind: "whole", min: 0, max: 65535, help: "Left out: 8000; 0: the system picks a free one." },
  "runs": { kind: "text", metavar: "DIR", help: "Folder of jobs and models; left out: runs." },
  "max-slots": {
    kind: "whole",
    min: 1,
    max: 256,
    help: "Sequences that a model continues at once; left out: 32.",
  },
  "max-waiting": {
    kind: "whole",
    min: 0,
    max: MANY,
    help: "Sequences that may wait for a place; left out: 256.",
  },
  "max-models": { kind: "whole", min: 1, max: 64, help: "Models on the device at once; left out: 2." },
  "cache-memory": {
    kind: "text",
    metavar: "SIZE",
    help: "Most memory for one model's cache of keys and values; left out: 1GB.",
  },
  "dtype": {
    kind: "choice",
    choices: SERVED_DTYPES,
    help: "What served weights are kept in; bf16 halves what a token reads; left out: f32.",
  },
  "generation-share": {
    kind: "number",
    min: 0.05,
    max: 0.95,
    help: "Part of the GPU's time that generation gets while a job trains as well; left out: 0.5.",
  },
  "cors": {
    kind: "text",
    metavar: "ORIGINS",
    help: "Origins whose pages may call, with commas; left out: none.",
  },
  "log-format": {
    kind: "choice",
    choices: LOG_FORMATS,
    help: "Lines of the log, on standard error; left out: text.",
  },
  "drain-seconds": {
    kind: "whole",
    min: 0,
    max: 3600,
    help: "Time that answers get to finish when the server is stopped; left out: 20.",
  },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

const USAGE = "deno task serve [flags]";
const ABOUT = `Serves training jobs, text from models, and pages for both, on this machine's WebGPU adapter.

Environment: SINTER_TOKEN opens generation, SINTER_ADMIN_TOKEN everything. A server that listens for other machines \
needs both; on 127.0.0.1 it may have neither, and is open.`;

/** Environment variables of the tokens. */
const TOKEN_VARIABLES = { generation: "SINTER_TOKEN", admin: "SINTER_ADMIN_TOKEN" } as const;

/** Everything that the server was told. */
export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  /** Only this machine can reach it. */
  readonly isLocal: boolean;
  readonly tokens?: Tokens;
  readonly runs: string;
  readonly maxSlots: number;
  readonly maxWaiting: number;
  readonly maxModels: number;
  readonly cacheBytes: number;
  readonly dtype: (typeof SERVED_DTYPES)[number];
  readonly generationShare: number;
  readonly cors: readonly string[];
  readonly logFormat: LogFormat;
  readonly drainSeconds: number;
}

/** The text of `--help`. */
export function serveHelp(): string {
  return helpText(USAGE, ABOUT, FLAGS);
}

/**
 * Reads flags and environment.
 *
 * @returns Undefined when help was asked for.
 * @throws {InputError} at the first thing that is wrong.
 */
export function serveOptions(
  args: readonly string[],
  environment: (name: string) => string | undefined,
): ServeOptions | undefined {
  const values = parseFlags(FLAGS, args);
  if (values.help) return undefined;
  const host = values.host ?? "127.0.0.1";
  const isLocal = isLoopback(host);
  return {
    host,
    port: values.port ?? 8000,
    isLocal,
    tokens: tokensFrom(environment, host, isLocal),
    runs: values.runs === undefined ? "runs" : userPath(values.runs),
    maxSlots: values["max-slots"] ?? 32,
    maxWaiting: values["max-waiting"] ?? 256,
    maxModels: values["max-models"] ?? 2,
    cacheBytes: parseMemory(values["cache-memory"] ?? "1GB", "--cache-memory"),
    dtype: values.dtype ?? "f32",
    generationShare: values["generation-share"] ?? 0.5,
    cors: values.cors === undefined ? [] : values.cors.split(",").map(checkedOrigin),
    logFormat: values["log-format"] ?? "text",
    drainSeconds: values["drain-seconds"] ?? 20,
  };
}

/** Both tokens, or none where only this machine can ask. */
function tokensFrom(
  environment: (name: string) => string | undefined,
  host: string,
  isLocal: boolean,
): Tokens | undefined {
  const { generation: generationName, admin: adminName } = TOKEN_VARIABLES;
  const generation = environment(generationName) || undefined;
  const admin = environment(adminName) || undefined;
  if (generation === undefined && admin === undefined && isLocal) return undefined;
  if (generation === undefined || admin === undefined) {
    const [input, problem] = isLocal
      ? [generation === undefined ? generationName : adminName, "it is not set although the other token is"]
      : [`--host ${host}`, "other machines can reach that address"];
    throw new InputError(input, problem, `set both ${generationName} and ${adminName}`);
  }
  for (const [name, token] of [[generationName, generation], [adminName, admin]]) {
    if (/^[\x21-\x7e]{1,256}$/.test(token)) continue;
    throw new InputError(name, "no header can carry it", "take up to 256 ASCII characters without spaces");
  }
  if (generation === admin) {
    throw new InputError(adminName, `it equals ${generationName}`, "take two different tokens");
  }
  return { generation, admin };
}

function checkedOrigin(text: string): string {
  const origin = text.trim();
  const url = URL.parse(origin);
  if (url && /^https?:$/.test(url.protocol) && url.origin === origin) return origin;
  throw new InputError(
    `--cors ${text}`,
    "not an origin",
    "give a scheme and a host, such as http://localhost:3000",
  );
}
