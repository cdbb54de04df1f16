/** A tokenizer that does not give back what it took would train a model on another text. */
import { assert, assertEquals } from "@std/assert";
import { encodeText, pieces } from "../../data/encode.ts";
import { loadTokenizer } from "../../data/tokenizer.ts";

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
