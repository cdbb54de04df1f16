/**
 * README.md and compiler/README.md show code and what it prints, and README.md lists the flags of the commands: both have to stay true.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { KEPT_TEXTS, readBlocks, README } from "./readme_blocks.ts";

const markdown = await Deno.readTextFile(README);

for (const { name: text, file, blocks } of KEPT_TEXTS) {
  Deno.test(`${text} shows something else than the examples, or than what they print`, async (t) => {
    const shown = readBlocks(await Deno.readTextFile(file));
    const expected = await blocks();
    for (const [name, body] of expected) {
      await t.step(name, () => {
        const remedy = "tests/compiler/readme_blocks.ts writes the blocks anew: its head says how";
        assert(shown.has(name), `${text} has no block ${name}`);
        assertEquals(shown.get(name), body, remedy);
      });
    }
    await t.step("all named blocks are kept", () => {
      assertEquals([...shown.keys()].sort(), [...expected.keys()].sort());
    });
  });
}

Deno.test("the worked example of README.md has more than 15 lines", () => {
  const lines = readBlocks(markdown).get("example")!.split("\n").filter((line) => line !== "");
  assert(lines.length <= 15);
});

const COMMANDS = {
  train: "model/commands/train.ts",
  generate: "model/commands/generate.ts",
  inspect: "model/commands/inspect.ts",
  serve: "server/main.ts",
  bench: "bench/main.ts",
};

for (const [command, path] of Object.entries(COMMANDS)) {
  Deno.test(`README.md lists other flags of ${command} than its --help`, async () => {
    const help = await helpOf(path);
    assertEquals(
      flagsIn(sectionOf(`deno task ${command}`), /^\| `--([a-z-]+)/gm),
      flagsIn(help, /^ +--([a-z-]+)/gm),
    );
  });
}

/** The text below a heading, up to the next one. */
function sectionOf(heading: string): string {
  const at = markdown.indexOf(`### ${heading}\n`);
  assert(at >= 0, `README.md has no section ${heading}`);
  return markdown.slice(at + 4).split(/^#/m)[0];
}

function flagsIn(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, name]) => name).sort();
}

async function helpOf(path: string): Promise<string> {
  const file = fromFileUrl(new URL(`../../${path}`, import.meta.url));
  const args = ["run", "--no-prompt", "--allow-read", "--allow-env", file, "--help"];
  const { success, stdout, stderr } = await new Deno.Command("deno", { args, env: { NO_COLOR: "1" } })
    .output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
