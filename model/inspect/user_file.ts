/**
 * A traced graph out of a user's own TypeScript file: `export const step = trace(…)`, or a function that gives one.
 *
 * @module
 */
import { basename, resolve, toFileUrl } from "@std/path";
import { type Graph, verifyGraph } from "../../compiler/mod.ts";
import { InputError } from "../errors.ts";

/**
 * Loads a file and takes what it exports.
 *
 * @param name Of the export; a function is called without arguments.
 * @throws {InputError} when there is no such file or export, it does not load, or it gives no graph; with the user's line where a shape
 * does not fit.
 */
export async function loadUserGraph(
  path: string,
  name: string,
): Promise<{ readonly graph: Graph; readonly name: string }> {
  const flag = `--file ${path}`;
  try {
    if (!(await Deno.stat(path)).isFile) throw new InputError(flag, "not a file", "name a TypeScript file");
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound)) throw problem;
    throw new InputError(flag, "there is no such file", "name a TypeScript file that exports a graph");
  }
  let module: Record<string, unknown>;
  try {
    module = await import(toFileUrl(resolve(path)).href);
  } catch (problem) {
    throw new InputError(flag, `it does not load (${firstLine(problem)})`, "run it alone: deno run FILE");
  }
  if (!Object.hasOwn(module, name)) {
    const names = Object.keys(module);
    const known = names.length > 0 ? `it exports ${names.join(", ")}` : "it exports nothing";
    throw new InputError(
      `--export ${name}`,
      `${path} has no such export`,
      `${known}; export a graph, or a function that gives one`,
    );
  }
  const graph = await given(module[name], name);
  if (!isGraph(graph)) {
    throw new InputError(
      `--export ${name}`,
      "it is no graph",
      "export what trace() gives, or a function that returns it",
    );
  }
  verifyGraph(graph);
  return { graph, name: name === "default" ? basename(path).replace(/\.\w+$/, "") : name };
}

async function given(value: unknown, name: string): Promise<unknown> {
  if (typeof value !== "function") return value;
  try {
    return await value();
  } catch (problem) {
    throw new InputError(`--export ${name}`, `it fails (${firstLine(problem)})`, "correct the file");
  }
}

function isGraph(value: unknown): value is Graph {
  const { nodes, outputs } = Object(value);
  return Array.isArray(nodes) && Array.isArray(outputs);
}

function firstLine(problem: unknown): string {
  return (problem instanceof Error ? problem.message : String(problem)).split("\n")[0];
}
