/**
 * The first screen: where the server is, what it runs on, and what can be asked of it.
 *
 * @module
 */
import type { ServeOptions } from "./options.ts";

/** Models that are named; more are counted. */
const NAMED = 5;

/** Facts for the first screen. */
export interface WelcomeFacts {
  /** Where the server listens, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** What generation runs on. */
  readonly adapter: string;
  /** Newest first. */
  readonly models: readonly { readonly id: string; readonly step: number }[];
  /** Jobs that go on or wait. */
  readonly jobs: number;
}

/** What a user sees once the server listens. */
export function welcome({ url, adapter, models, jobs }: WelcomeFacts, options: ServeOptions): string {
  const { tokens, isLocal, runs } = options;
  const rows = [
    ["pages", `${url}/ (dashboard), ${url}/reference (API)`],
    ["adapter", adapter],
    ["models", modelsText(models, url, runs)],
    ...(jobs > 0 ? [["jobs", `${jobs} running or waiting`]] : []),
    [
      "access",
      tokens
        ? "SINTER_TOKEN for generation, SINTER_ADMIN_TOKEN for everything"
        : "open, to this machine only",
    ],
  ];
  if (!isLocal) {
    rows.push(["", "other machines reach it, unencrypted: put a proxy with TLS before the server"]);
  }
  const lines = rows.map(([name, text]) => `  ${name.padEnd(8)}${text}`);
  return [`Sinter listens at ${url} (Ctrl-C to stop)`, ...lines].join("\n");
}

function modelsText(models: WelcomeFacts["models"], url: string, runs: string): string {
  if (models.length === 0) {
    return `none in ${runs}/ yet: start a job at ${url}/ or run deno task train --preset nano`;
  }
  const named = models.slice(0, NAMED).map(({ id, step }) => `${id} (step ${step})`).join(", ");
  return models.length > NAMED ? `${named} and ${models.length - NAMED} more` : named;
}
