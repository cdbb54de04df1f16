/**
 * Finds the user's source line behind a call of the tensor API: the first frame of the stack outside the compiler. It is
 * looked up for every traced node, and Deno maps each captured frame back to TypeScript, so as few as possible are taken.
 *
 * @module
 */

const OWN_FOLDER = new URL(".", import.meta.url).href;
/** The examples are a user's code, wherever they lie. */
const EXAMPLES_FOLDER = new URL("examples/", OWN_FOLDER).href;
const ROOT_FOLDER = new URL("..", import.meta.url).href;

/** Frames to take: most calls are found in the first few, the rest (`mean`, `matmul` with broadcasts) in all. */
const DEPTHS = [4, 16];

/**
 * The line outside the compiler that led to `callee`, as `path:line`, relative to the project where it lies inside.
 *
 * @param callee Function on the stack; frames start at its caller.
 */
export function callSite(callee: (...args: never[]) => unknown): string | undefined {
  const limit = Error.stackTraceLimit;
  try {
    for (const depth of DEPTHS) {
      Error.stackTraceLimit = depth;
      const holder: { stack?: string } = {};
      Error.captureStackTrace(holder, callee);
      // Formatted when it is read: before the limit is put back.
      const site = firstForeign(holder.stack ?? "");
      if (site !== undefined) return site;
    }
  } finally {
    Error.stackTraceLimit = limit;
  }
  return undefined;
}

function firstForeign(stack: string): string | undefined {
  for (const line of stack.split("\n").slice(1)) {
    const match = /(\w+:\/\/[^\s)]+):(\d+):\d+\)?$/.exec(line);
    if (!match || isOurs(match[1])) continue;
    return `${match[1].replace(ROOT_FOLDER, "").replace("file://", "")}:${match[2]}`;
  }
  return undefined;
}

function isOurs(file: string): boolean {
  return file.startsWith("ext:") || file.startsWith(OWN_FOLDER) && !file.startsWith(EXAMPLES_FOLDER);
}
