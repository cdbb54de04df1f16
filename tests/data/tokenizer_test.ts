/** A tokenizer that does not give back what it took would train a model on another text. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeText, pieces } from "../../data/encode.ts";
import { DataError } from "../../data/errors.ts";
import { loadTokenizer, TOKENIZERS } from "../../data/tokenizer.ts";
import { tokenizerFromFile } from "../../data/tokenizer_file.ts";
import { Prng } from "../support/prng.ts";

const NASTY = [
  "",
  " ",
  "   leading and   inner    spaces \n\n\n and\ttabs  ",
  "don't we'll they'VE it's 'tis",
  "naïve café 東京 🐳🐋 \u{1F468}\u200D\u{1F469}\u200D\u{1F467}",
  "<|endoftext|> is text here",
  "numbers 1234567890 and 3.14159 and 1,000,000",
  "\u0000\u0001\u007f\u0080 control",
  "x".repeat(3000),
  "a\r\nb\rc\n",
  "\uFEFFa byte order mark \uFEFF and again\uFEFF",
  "spaces of other kinds:\u00a0\u0085 \u2003x\u3000 \u0085y \u200b z",
];

Deno.test("bytes: every text comes back, one token a byte", async () => {
  const tokenizer = await loadTokenizer("bytes");
  for (const text of NASTY) {
    const tokens = tokenizer.encode(text);
    assertEquals(tokens.length, new TextEncoder().encode(text).length);
    assertEquals(tokenizer.decode(tokens), text);
  }
});

Deno.test("gpt2: known encodings, or weights trained elsewhere would be useless", async () => {
  const tokenizer = await loadTokenizer("gpt2");
  assertEquals(tokenizer.vocabularySize, 50257);
  assertEquals(tokenizer.endOfText, 50256);
  assertEquals([...tokenizer.encode("Hello, I'm a language model,")], [
    15496,
    11,
    314,
    1101,
    257,
    3303,
    2746,
    11,
  ]);
  assertEquals([...tokenizer.encode("Hello world")], [15496, 995]);
});

Deno.test("gpt2: every text comes back, and none yields the end-of-text token", async () => {
  const tokenizer = await loadTokenizer("gpt2");
  for (const text of NASTY) {
    const tokens = tokenizer.encode(text);
    assertEquals(tokenizer.decode(tokens), text);
    assert(!tokens.includes(50256));
  }
});

Deno.test("gpt2: half a character decodes to U+FFFD instead of failing", async () => {
  const tokenizer = await loadTokenizer("gpt2");
  const [first] = tokenizer.encode("🐳");
  assertEquals(tokenizer.decode([first]), "\uFFFD");
});

Deno.test("encoding in pieces gives the tokens of the whole text", async () => {
  const tokenizer = await loadTokenizer("gpt2");
  const text = NASTY.join(" and then ").repeat(3);
  const inPieces = [...pieces(text, 50)].flatMap((piece) => [...tokenizer.encode(piece)]);
  assertEquals(inPieces, [...tokenizer.encode(text)]);
  assertEquals([...pieces(text, 50)].join(""), text);
});

Deno.test("a Worker encodes as the caller would, and reports progress", async () => {
  const tokenizer = await loadTokenizer("gpt2");
  const text = "Call me Ishmael. Some years ago, never mind how long precisely. ".repeat(3000);
  const seen: number[] = [];
  const tokens = await encodeText("gpt2", text, { onProgress: (done) => seen.push(done) });
  assertEquals(tokens, tokenizer.encode(text));
  assert(seen.length > 1 && seen[seen.length - 1] === 1);
});

Deno.test("encoding random text in pieces of any length gives the tokens of the whole text", async () => {
  const tokenizer = await loadTokenizer("gpt2");
  // Few tokens of GPT-2 join white space: runs of line ends and of no-break spaces show a wrong cut.
  const space = [" ", "\n", "\n\n", "\n\n\n", "\t", "\r\n", "\u0085", "\u00a0\u00a0", "\u2028", "\uFEFF"];
  const other = [
    "a",
    "Z",
    "é",
    "7",
    "²",
    "'s",
    "'ll",
    "'",
    ".",
    "_",
    "東",
    "🐳",
    "\u200d",
    "\u0301",
    "\u0000",
  ];
  const seed = 20_261_123;
  const random = new Prng(seed);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 60 }, () => random.pick(random.chance(0.6) ? space : other)).join("");
    const length = random.integer(1, 12);
    const inPieces = [...pieces(text, length)].flatMap((piece) => [...tokenizer.encode(piece)]);
    assertEquals(
      inPieces,
      [...tokenizer.encode(text)],
      `seed ${seed}, round ${round}: ${JSON.stringify(text)}`,
    );
    assertEquals(tokenizer.decode(inPieces), text);
  }
});

Deno.test("text without spaces is cut at its line ends, or the Worker would get all of it at once", () => {
  assertEquals([...pieces("東京\n".repeat(1000), 300)].length, 10);
});

Deno.test("tokens outside the vocabulary are refused, not dropped or wrapped", async () => {
  for (const name of TOKENIZERS) {
    const tokenizer = await loadTokenizer(name);
    for (const token of [-1, tokenizer.vocabularySize]) {
      const { message } = assertThrows(() => tokenizer.decode([65, token]), RangeError);
      assertEquals(message, `token ${token} is outside the vocabulary of ${tokenizer.vocabularySize}`);
    }
  }
});

Deno.test("a tokenizer.json leads back to its tokenizer, and a foreign one is refused", async () => {
  for (const name of TOKENIZERS) {
    const tokenizer = await loadTokenizer(name);
    assertEquals((await tokenizerFromFile("t.json", tokenizer.file())).name, name);
    const changed = JSON.parse(tokenizer.file());
    [changed.model.vocab["a"], changed.model.vocab["b"]] = [
      changed.model.vocab["b"],
      changed.model.vocab["a"],
    ];
    await assertRejects(
      () => tokenizerFromFile("t.json", JSON.stringify(changed)),
      DataError,
      "unknown tokenizer",
    );
  }
  const published = JSON.parse((await loadTokenizer("gpt2")).file());
  published.model.merges = published.model.merges.map((merge: string) => merge.split(" "));
  assertEquals((await tokenizerFromFile("t.json", JSON.stringify(published))).name, "gpt2");
  for (
    const text of ["", "null", "{}", '{"model":{"type":"WordPiece","vocab":{}}}', '{"model":{"vocab":null}}']
  ) {
    await assertRejects(() => tokenizerFromFile("t.json", text), DataError, "t.json: is no byte-pair");
  }
});
