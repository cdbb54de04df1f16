/**
 * Names of jobs and their directories: each name is used once.
 *
 * @module
 */
import { encodeHex } from "@std/encoding";
import { ApiError } from "../http/error.ts";

/** The refusal of a name that is in use. */
export function nameTaken(name: string): ApiError {
  return new ApiError(409, "name_taken", `There is a run ${name} already; choose another name.`, {
    param: "name",
  });
}

/**
 * Makes a new job's directory.
 *
 * @throws {ApiError} 409 when something lies in it. An empty one is of a job that was being made when the server died.
 */
export function makeDirectory(path: string, name: string): void {
  try {
    Deno.mkdirSync(path);
  } catch (problem) {
    if (!(problem instanceof Deno.errors.AlreadyExists)) throw problem;
    const isFree = Deno.lstatSync(path).isDirectory && Deno.readDirSync(path)[Symbol.iterator]().next().done;
    if (!isFree) throw nameTaken(name);
  }
}

/** `20260131-142233-1f0a2b`: sorts by time. */
export function generatedName(date: Date): string {
  const time = date.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  return `${time}-${encodeHex(crypto.getRandomValues(new Uint8Array(3)))}`;
}
