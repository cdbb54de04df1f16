/**
 * `deno task data check`: looks through a folder of token shards, whoever has made it.
 *
 * @module
 */
import { inspectShards } from "../../data/mod.ts";
import { BAD_INPUT } from "./exit.ts";
import { ProgressLine } from "./progress_line.ts";
import { OutputScreen } from "./screen.ts";
import { count, megabytes } from "./text.ts";

/**
 * Checks a folder and says what is wrong with it.
 *
 * @param options `deep` reads every token and compares checksums; `json` prints the report as JSON.
 * @returns The exit code: 2 when there are problems.
 */
export async function checkShards(
  folder: string,
  { deep = false, json = false }: { readonly deep?: boolean; readonly json?: boolean },
): Promise<number> {
  const screen = new OutputScreen(json ? Deno.stderr : Deno.stdout);
  const progress = new ProgressLine(screen);
  const report = await inspectShards(folder, {
    deep,
    onProgress: ({ name, bytes, totalBytes }) =>
      progress.show(
        bytes,
        totalBytes,
        (rate) => `${name}: ${megabytes(bytes)} of ${megabytes(totalBytes)}, ${megabytes(rate)}/s`,
      ),
  });
  screen.settle();
  const { files, trainTokens, validationTokens, hasSums, problems } = report;
  if (json) console.log(JSON.stringify(report));
  else {
    for (const problem of problems) screen.line(`error: ${problem}`);
    const looked = deep
      ? `every token read${hasSums ? ", checksums compared" : ""}`
      : "headers and sizes; --deep reads every token";
    screen.line(
      `${files.length} files, ${count(trainTokens)} tokens to train, ${
        count(validationTokens)
      } to validate ` +
        `(${looked}): ${problems.length === 0 ? "nothing is wrong" : `${problems.length} problems`}`,
    );
  }
  return problems.length === 0 ? 0 : BAD_INPUT;
}
