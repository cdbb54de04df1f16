/** Compressed text and JSON lines must be read whole or refused where they are wrong, never cut short in silence. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { gzipSync } from "node:zlib";
import { DataError } from "../../data/errors.ts";
import { loadTokens, openData } from "../../data/open.ts";
import { loadText } from "../../data/text.ts";
import { readJsonLines, readTextFile } from "../../data/text_file.ts";
import { loadTokenizer } from "../../data/tokenizer.ts";
import { countingTokens, ShardFolder } from "./shard_files.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const gzip = (text: string | Uint8Array) => new Uint8Array(gzipSync(text));
const bytes = await loadTokenizer("bytes");

async function refused(work: Promise<unknown>, ...words: string[]): Promise<void> {
  const { message } = await assertRejects(() => work, DataError);
  assert(!message.includes("\n"), message);
  for (const word of words) assert(message.includes(word), `${message} does not mention ${word}`);
}

async function documents(path: string, key = "text"): Promise<string[]> {
  const found: string[] = [];
  await readJsonLines(`text:${path}`, { path, key }, (text) => void found.push(text));
  return found;
}

Deno.test("gzip'd text is the text, also in several members", async () => {
  using folder = new ShardFolder();
  const text = "Call me Ishmäel. ".repeat(50_000);
  assertEquals(await loadText(`text:${folder.write("a.txt.gz", gzip(text))}`), text);
  const cut = encode(text);
  // The cut is inside the ä: members are joined as bytes.
  const members = Uint8Array.from([...gzip(cut.subarray(0, 13)), ...gzip(cut.subarray(13))]);
  assertEquals(await loadText(`text:${folder.write("b.gz", members)}`), text);
});

Deno.test("damaged gzip is refused, not read as far as it goes", async () => {
  using folder = new ShardFolder();
  const good = gzip("Some years ago - never mind how long precisely. ".repeat(2000));
  const load = (content: Uint8Array) => loadText(`text:${folder.write("a.gz", content)}`);
  const flipped = (at: number) => good.map((byte, i) => i === good.length - at ? byte ^ 1 : byte);
  await refused(load(good.subarray(0, good.length - 5)), "a.gz", "ends too early");
  await refused(load(good.subarray(0, 30)), "a.gz", "ends too early");
  await refused(load(flipped(7)), "damaged", "data check");
  await refused(load(flipped(2)), "damaged", "length check");
  await refused(load(encode("plain text")), "damaged", "header check");
  await refused(load(Uint8Array.from([...good, 1, 2, 3])), "damaged");
  await refused(load(new Uint8Array()), "a.gz");
  await refused(load(gzip("")), "empty");
  await refused(load(gzip(Uint8Array.of(0x63, 0xe9, 0x21))), "not UTF-8");
  await refused(load(gzip(Uint8Array.of(0x63, 0xc3))), "not UTF-8");
  await refused(load(gzip(Uint8Array.of(1, 0, 2))), "binary");
});

Deno.test("text that grows without end when decompressed is stopped", async () => {
  using folder = new ShardFolder();
  const path = folder.write("bomb.gz", gzip(new Uint8Array(10_000_000).fill(32)));
  await refused(readTextFile(`text:${path}`, path, { maxBytes: 1_000_000 }), "more than 1000000 bytes");
});

Deno.test("JSON lines give each document, whatever their line ends, lengths and compression", async () => {
  using folder = new ShardFolder();
  const texts = ["first", "über\nzwei", "x".repeat(700_000), "", "last"];
  const lines = texts.map((text, i) => JSON.stringify({ id: i, text }));
  const [unix, windows] = [lines.join("\n"), lines.join("\r\n\r\n") + "\r\n"];
  assertEquals(await documents(folder.write("a.jsonl", encode(unix))), texts);
  assertEquals(await documents(folder.write("b.ndjson", encode(windows))), texts);
  assertEquals(await documents(folder.write("c.jsonl.gz", gzip(unix))), texts);
});

Deno.test("a bad line of JSON lines is named with its number", async () => {
  using folder = new ShardFolder();
  const read = (second: string | Uint8Array, key?: string) => {
    const line = typeof second === "string" ? encode(second) : second;
    const content = Uint8Array.from([...encode('{"text": "good"}\n'), ...line, 10]);
    return documents(folder.write("a.jsonl", content), key);
  };
  await refused(read('{"text": "cut'), "a.jsonl", "line 2", "no JSON", "cut");
  await refused(read("[1]"), "line 2", "no JSON object");
  await refused(read("null"), "line 2", "no JSON object");
  await refused(read('{"content": "a", "id": 1}'), "line 2", "no key text", "content, id", "#content");
  await refused(read("{}"), "line 2", "it has: none");
  await refused(read('{"text": 5}'), "line 2", "no text under the key text");
  await refused(read(Uint8Array.of(0x22, 0xe9, 0x22)), "line 2", "not UTF-8");
  await refused(read('{"text": "b"}', "toString"), "line 1", "no key toString");
  const cut = gzip('{"text": "good"}\n'.repeat(1000));
  await refused(
    documents(folder.write("cut.jsonl.gz", cut.subarray(0, cut.length - 6))),
    "cut.jsonl.gz",
    "too early",
  );
});

Deno.test("documents are separated by end-of-text before each, which their own text cannot yield", async () => {
  using folder = new ShardFolder();
  const gpt2 = await loadTokenizer("gpt2");
  const texts = ["whale", "a <|endoftext|> b", "sea"];
  const path = folder.write("a.jsonl", encode(texts.map((body) => JSON.stringify({ body })).join("\n")));
  const tokens = await loadTokens(`text:${path}#body`, gpt2);
  assertEquals([...tokens], texts.flatMap((text) => [50_256, ...gpt2.encode(text)]));
  assertEquals(bytes.decode(await loadTokens(`text:${path}#body`, bytes)), texts.join("\n\n"));
  await refused(loadTokens(`text:${path}`, bytes), "line 1", "no key text");
  await refused(loadText(`text:${path}`), "documents");
});

Deno.test("a source opens as what it names: text into memory, shards where they lie", async () => {
  using folder = new ShardFolder();
  const options = { batch: 2, context: 8, seed: 1 };
  const path = folder.write("a.txt.gz", gzip("0123456789".repeat(100)));
  const text = await openData(`text:${path}`, bytes, options);
  assertEquals([text.trainTokens, text.validationTokens], [900, 100]);
  assert(text.identity.startsWith("1000 tokens, sha256 "), text.identity);
  text.close();
  const gpt2 = { name: "gpt2", vocabularySize: 50_257 } as const;
  folder.writeSet("bin", [countingTokens(100), countingTokens(300)]);
  const shards = await openData(`shards:${folder.path}`, gpt2, options);
  assertEquals([shards.trainTokens, shards.validationTokens], [300, 100]);
  assertEquals(shards.batchAt(0).tokens.length, 16);
  shards.close();
  await refused(
    openData(`shards:${folder.path}`, bytes, options),
    "GPT-2's tokens",
    "bytes",
    "--tokenizer gpt2",
  );
  await refused(openData(`shards:${join(folder.path, "none")}`, gpt2, options), "does not exist");
  await refused(openData("poems", gpt2, options), "poems", "shards:DIR");
});
