/** A benchmark read wrongly gives a number all the same: whatever is no example must be named. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { DataError } from "../../data/errors.ts";
import { type HellaSwagExample, loadHellaSwag, parseHellaSwag } from "../../data/hellaswag.ts";
import { withFolder } from "../model/command.ts";

const LINE = {
  ind: 24,
  activity_label: "Whaling",
  ctx_a: "A man stands on a deck.",
  ctx_b: "he",
  ctx: "A man stands on a deck. he",
  split: "val",
  split_type: "indomain",
  label: 3,
  endings: ["sleeps.", "is a whale.", "eats the deck.", "looks at the sea."],
  source_id: "activitynet~v_1",
};

const EXAMPLE: HellaSwagExample = { context: LINE.ctx, endings: LINE.endings, label: 3 };

const text = (...lines: unknown[]) => lines.map((line) => JSON.stringify(line) + "\n").join("");

Deno.test("examples are read in the file's order, with labels as numbers or text, up to the limit", () => {
  const lines = text(LINE, { ...LINE, label: "1" }) + "\n" + text({ ...LINE, label: 0 });
  const labels = (limit?: number) => parseHellaSwag("f", lines, limit).map(({ label }) => label);
  assertEquals(parseHellaSwag("f", lines)[0], EXAMPLE);
  assertEquals(labels(), [3, 1, 0]);
  assertEquals(labels(2), [3, 1]);
  assertEquals(parseHellaSwag("f", text(LINE) + "{ damaged", 1), [EXAMPLE]);
});

Deno.test("a line that is no example is named with its number and what is wrong", () => {
  const wrong: [line: string, problem: string][] = [
    ["{", "is no JSON"],
    ["[]", "is no JSON object"],
    ["null", "is no JSON object"],
    [text({ ...LINE, ctx: undefined }), '"ctx"'],
    [text({ ...LINE, ctx: "" }), '"ctx"'],
    [text({ ...LINE, endings: "four" }), '"endings"'],
    [text({ ...LINE, endings: ["a", "b", "c", 4] }), '"endings"'],
    [text({ ...LINE, endings: ["a", "b", "c"] }), "3 endings, not 4"],
    [text({ ...LINE, label: "" }), "no label"],
    [text({ ...LINE, label: undefined }), "no label"],
    [text({ ...LINE, label: 4 }), "the label 4"],
    [text({ ...LINE, label: -1 }), "the label -1"],
    [text({ ...LINE, label: 1.5 }), "the label 1.5"],
    [text({ ...LINE, label: "04" }), 'the label "04"'],
  ];
  for (const [line, problem] of wrong) {
    const { message } = assertThrows(() => parseHellaSwag("my.jsonl", text(LINE) + "\n" + line), DataError);
    assertStringIncludes(message, "my.jsonl: line 3 ");
    assertStringIncludes(message, problem);
  }
  assertThrows(() => parseHellaSwag("my.jsonl", "\n\n"), DataError, "has no examples");
});

Deno.test("a file that is not there, or that a mirror has changed, is refused", () =>
  withFolder(async (folder) => {
    const file = join(folder, "val.jsonl");
    await assertRejects(() => loadHellaSwag({ file }), DataError, "does not exist");
    await Deno.writeTextFile(file, text(LINE, LINE));
    assertEquals((await loadHellaSwag({ file, limit: 1 })).length, 1);

    const asked: string[] = [];
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, ({ url }) => {
      asked.push(new URL(url).pathname);
      return new Response(text(LINE));
    });
    const mirror = `http://127.0.0.1:${server.addr.port}/copies`;
    try {
      const load = () => loadHellaSwag({ mirror, cacheFolder: folder, download: { waitMs: 1 } });
      await assertRejects(load, DataError, "another checksum");
      assertEquals([...new Set(asked)], ["/copies/hellaswag_val.jsonl"]);
      await assertRejects(() => loadHellaSwag({ mirror: "ftp://x" }), DataError, "--mirror ftp://x");
    } finally {
      await server.shutdown();
    }
  }));
