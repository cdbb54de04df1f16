/**
 * lavapipe compiles for 256-bit vectors unless it is told otherwise, even where the processor has 512-bit ones. With
 * them products gain a third and whole training steps a fifth to a quarter (measured on an AMD EPYC: 369 to 303 ms and
 * 1,345 to 1,109 ms a step). Mesa reads the width once, before its first adapter, and its cache of compiled kernels does
 * not tell widths apart, which gives wrong results: so the wide kernels get a cache folder of their own.
 *
 * @module
 */
import { fromFileUrl } from "@std/path";
import { mayUse } from "./variables.ts";

/** Mesa's variable for the bits of a vector. */
export const WIDTH = "LP_NATIVE_VECTOR_WIDTH";
/** Mesa's variable for the folder of compiled kernels. */
export const CACHE = "MESA_SHADER_CACHE_DIR";

/** Flags of /proc/cpuinfo without which 512-bit code would be split into halves. */
const NEEDED = ["avx512f", "avx512bw", "avx512dq", "avx512vl"];

const HERE = new URL("../.cache/mesa-512", import.meta.url);
/** Cache of the wide kernels, in the folder for all that can be made again. */
const FOLDER = HERE.protocol === "file:" ? fromFileUrl(HERE) : undefined;

/** Asks lavapipe for 512-bit vectors where the processor has them. Other drivers do not read these variables. */
export function preferWideVectors(): void {
  if (Deno.build.arch !== "x86_64" || !mayUse(WIDTH) || !mayUse(CACHE)) return;
  if (Deno.env.get(WIDTH) || Deno.env.get(CACHE)) return;
  if (!FOLDER || !hasFlags(processorInfo())) return;
  try {
    Deno.mkdirSync(FOLDER, { recursive: true });
  } catch {
    return; // Without a folder of its own the cache would mix the widths.
  }
  Deno.env.set(CACHE, FOLDER);
  Deno.env.set(WIDTH, "512");
}

/** True when the first processor of a /proc/cpuinfo has all that is needed. */
export function hasFlags(info: string): boolean {
  const flags = /^flags\s*:(.*)$/m.exec(info)?.[1].trim().split(/\s+/) ?? [];
  return NEEDED.every((flag) => flags.includes(flag));
}

/** /proc/cpuinfo, which Deno shows only to programs with all permissions: a child of ours may have them. */
function processorInfo(): string {
  const path = "/proc/cpuinfo";
  try {
    return Deno.readTextFileSync(path);
  } catch {
    if (Deno.permissions.querySync({ name: "run", command: "deno" }).state !== "granted") return "";
    const args = ["eval", `console.log(Deno.readTextFileSync("${path}"))`];
    try {
      return new TextDecoder().decode(new Deno.Command("deno", { args, stderr: "null" }).outputSync().stdout);
    } catch {
      return "";
    }
  }
}
