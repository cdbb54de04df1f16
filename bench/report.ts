/**
 * Everything that one run of `deno task bench` found, as it is written to JSON.
 *
 * @module
 */
import { dirname } from "@std/path";
import type { Capabilities } from "../compiler/mod.ts";
import type { DeviceInfo } from "../runtime/mod.ts";
import type { Ceilings } from "./ceilings.ts";
import type { KernelTable } from "./kernels.ts";
import type { DecodeTable } from "./decode.ts";
import type { RungResult } from "./ladder.ts";
import type { Ratio } from "./targets.ts";
import type { Comparison } from "./versus.ts";

/** A climbed ladder. */
export interface Ladder {
  readonly case: string;
  readonly tokens: number;
  readonly parameters: number;
  readonly rungs: readonly RungResult[];
}

/** The whole run. Times are in milliseconds, sizes in bytes. */
export interface Report {
  /** When it began, in ISO 8601. */
  readonly date: string;
  readonly deno: string;
  readonly cores: number;
  readonly adapter: DeviceInfo;
  readonly capabilities: Capabilities;
  readonly quick: boolean;
  readonly rounds: number;
  readonly ceilings: Ceilings;
  readonly ladders: readonly Ladder[];
  readonly kernels: readonly KernelTable[];
  /** Generation. */
  readonly decode: readonly DecodeTable[];
  readonly comparisons: readonly Comparison[];
  /** First and last rung of the middle case. */
  readonly fused: readonly RungResult[];
  readonly ratios: readonly Ratio[];
  /** Seconds that the whole run took. */
  readonly seconds: number;
}

/** A short name of the adapter for files: `llvmpipe-llvm-15-0-6-256-bits`. */
export function slugOf({ description }: DeviceInfo): string {
  return description.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "") || "adapter";
}

/** Writes a file under another name, waits until it is on the disk, and renames it. Makes its folder. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${crypto.randomUUID()}.tmp`;
  {
    using file = await Deno.open(draft, { write: true, createNew: true });
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  }
  await Deno.rename(draft, path);
}
