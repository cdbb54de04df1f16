/**
 * Paths as the user means them: `deno task` runs commands in the repository's folder and tells in INIT_CWD where the
 * user stands.
 *
 * @module
 */
import { isAbsolute, join } from "@std/path";

/** A path relative to where the user stands, as this process can open it. */
export function userPath(path: string): string {
  const stands = Deno.env.get("INIT_CWD");
  return isAbsolute(path) || !stands || stands === Deno.cwd() ? path : join(stands, path);
}

/** A `--data` argument whose file, if it names one, can be opened. */
export function userData(source: string): string {
  return prefixed(source, ["text:", "shards:"]);
}

/** A `--reference` argument whose folder, if it names one, can be opened. */
export function userReference(reference: string): string {
  return prefixed(reference, ["run:"]);
}

/** What follows one of the prefixes is a path. */
function prefixed(text: string, prefixes: readonly string[]): string {
  const prefix = prefixes.find((prefix) => text.startsWith(prefix) && text.length > prefix.length);
  return prefix === undefined ? text : prefix + userPath(text.slice(prefix.length));
}
