/**
 * What the code blocks of README.md and compiler/README.md have to say, from the examples' files and what these print;
 * `readme_test.ts` compares. A block is known by the word after its language: ```` ```text graph ````. After a change of
 * the compiler
 *
 *     deno run --allow-read --allow-write=. --allow-env --allow-run=deno tests/compiler/readme_blocks.ts
 *
 * writes the blocks anew.
 *
 * @module
 */
import { fromFileUrl } from "@std/path";
import { PIPELINE, pipelineBlocks } from "./pipeline_blocks.ts";

/** README.md. */
export const README = new URL("../../README.md", import.meta.url);

const FENCE = /^```(\w+) (\w+)\n([^]*?)^```$/gm;
const COMPILED = new URL("./readme_example.ts", import.meta.url);
const RUN = new URL("../runtime/readme_example.ts", import.meta.url);
const FOLLOWED = new URL("../../compiler/examples/pipeline.ts", import.meta.url);
/** The row kernel is the second of the worked example's two. */
const SHOWN_KERNEL = 1;

/** The named blocks of a Markdown text. */
export function readBlocks(markdown: string): Map<string, string> {
  return new Map([...markdown.matchAll(FENCE)].map(([, , name, body]) => [name, body]));
}

/** A text whose blocks are kept true. */
export interface KeptText {
  /** Path from the root. */
  readonly name: string;
  /** Where it lies. */
  readonly file: URL;
  /** What each named block has to be. */
  blocks(): Promise<Map<string, string>>;
}

/** All of them. */
export const KEPT_TEXTS: readonly KeptText[] = [
  { name: "README.md", file: README, blocks: expectedBlocks },
  {
    name: "compiler/README.md",
    file: PIPELINE,
    blocks: async () => new Map([["example", await codeOf(FOLLOWED)], ...pipelineBlocks()]),
  },
];

/** What each named block of README.md has to be. */
export async function expectedBlocks(): Promise<Map<string, string>> {
  const [graph, groups, kernels, wgsl, printed] = await Promise.all([
    ...["graph", "groups", "kernels", "wgsl"].map((stage) => output(COMPILED, stage)),
    output(RUN),
  ]);
  return new Map([
    ["example", await codeOf(COMPILED)],
    ["graph", lines(graph)],
    ["groups", lines(groups)],
    ["kernel", lines(kernelOf(kernels))],
    ["shader", lines(kernelOf(wgsl))],
    ["run", await codeOf(RUN)],
    ["printed", lines(printed)],
  ]);
}

/** A file without the comment at its head. */
async function codeOf(file: URL): Promise<string> {
  return (await Deno.readTextFile(file)).replace(/^\/\*\*[^]*?\*\/\n/, "");
}

/** What an example prints. */
async function output(file: URL, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--allow-env", "--allow-read", fromFileUrl(file), ...args],
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new Error(`${file.pathname} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** The shown one of the kernels of a listing; each begins with a line that counts its launches. */
function kernelOf(listing: string): string {
  return listing.split(/^(?=\/\/ \w+: \d+ x, )/m)[SHOWN_KERNEL];
}

function lines(text: string): string {
  return `${text.trimEnd()}\n`;
}

if (import.meta.main) {
  for (const { file, blocks } of KEPT_TEXTS) {
    const expected = await blocks();
    const markdown = await Deno.readTextFile(file);
    const renewed = markdown.replace(FENCE, (block, language, name) => {
      const body = expected.get(name);
      return body === undefined ? block : `\`\`\`${language} ${name}\n${body}\`\`\``;
    });
    await Deno.writeTextFile(file, renewed);
  }
}
