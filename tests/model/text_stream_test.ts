/** Text that is let out while tokens come, against decoding all of them at once. */
import { assert, assertEquals } from "@std/assert";
import type { Tokenizer } from "../../data/mod.ts";
import { TextStream } from "../../model/text_stream.ts";
import { seededUniform } from "./seeded.ts";

/** Tokens that are spelled by given bytes. */
function spelled(spellings: readonly Uint8Array[]): Tokenizer {
  const decodeBytes = (tokens: ArrayLike<number>) =>
    Uint8Array.from(Array.from(tokens).flatMap((token) => [...spellings[token]]));
  return {
    name: "bytes",
    vocabularySize: spellings.length,
    encode: () => new Uint16Array(),
    decodeBytes,
    decode: (tokens) => whole(decodeBytes(tokens)),
    file: () => "",
  };
}

const whole = (bytes: Uint8Array<ArrayBuffer>) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

const CHARACTERS = ["a", "b", "ab", "é", "€", "中", "😀", "\ufeff", "\n"].map((text) =>
  new TextEncoder().encode(text)
);

/** Characters of one to four bytes, some cut short, some bytes that no character has. */
function randomBytes(uniform: () => number): number[] {
  const bytes: number[] = [];
  const length = Math.floor(30 * uniform());
  while (bytes.length < length) {
    const kind = uniform();
    const character = [...CHARACTERS[Math.floor(CHARACTERS.length * uniform())]];
    if (kind < 0.7) bytes.push(...character);
    else if (kind < 0.85) bytes.push(...character.slice(0, 1 + Math.floor(uniform() * character.length)));
    else bytes.push(Math.floor(256 * uniform()));
  }
  return bytes;
}

/** The same bytes in pieces of one to five. */
function randomPieces(bytes: readonly number[], uniform: () => number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + Math.floor(5 * uniform());
    pieces.push(Uint8Array.from(bytes.slice(at, end)));
    at = end;
  }
  return pieces;
}

Deno.test("however bytes are split into tokens, the parts join to the text of all bytes at once", () => {
  const seed = 61;
  const uniform = seededUniform(seed);
  for (let trial = 0; trial < 2000; trial++) {
    const bytes = randomBytes(uniform);
    const pieces = randomPieces(bytes, uniform);
    const stream = new TextStream(spelled(pieces), []);
    const expected = whole(Uint8Array.from(bytes));
    let text = "";
    const tokens: number[] = [];
    pieces.forEach((_, token) => {
      assert(!stream.push(token), `seed ${seed}, trial ${trial}: nothing can stop it`);
      const part = stream.take();
      text += part.text;
      tokens.push(...part.tokens.map((each) => each.token));
      assert(
        expected.startsWith(text),
        `seed ${seed}, trial ${trial}: what was let out cannot be taken back`,
      );
      for (const each of part.tokens) {
        const before = new TextDecoder("utf-8", { ignoreBOM: true })
          .decode(joined(pieces.slice(0, each.token)), { stream: true });
        assertEquals(each.textOffset, before.length, `seed ${seed}, trial ${trial}, token ${each.token}`);
      }
    });
    stream.end();
    const part = stream.take();
    assertEquals(text + part.text, expected, `seed ${seed}, trial ${trial}`);
    tokens.push(...part.tokens.map((each) => each.token));
    assertEquals(tokens, [...pieces.keys()], `seed ${seed}, trial ${trial}: each token once, in order`);
  }
});

Deno.test("stop texts cut where the first of them begins, and none of their beginnings is let out", () => {
  const seed = 67;
  const uniform = seededUniform(seed);
  const stops = ["ba", "é€", "aab", "\nb", "😀中", "bb\n", "\ufffd\ufffd"];
  let stopped = 0;
  for (let trial = 0; trial < 2000; trial++) {
    const bytes = randomBytes(uniform);
    const pieces = randomPieces(bytes, uniform);
    const chosen = stops.filter(() => uniform() < 0.4);
    const cut = (text: string) => {
      const found = chosen.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
      return found.length > 0 ? text.slice(0, Math.min(...found)) : undefined;
    };
    const note = `seed ${seed}, trial ${trial}, stops ${JSON.stringify(chosen)}`;
    const stream = new TextStream(spelled(pieces), chosen);
    let [text, isOver] = ["", false];
    for (let token = 0; token < pieces.length && !isOver; token++) {
      const sure = new TextDecoder("utf-8", { ignoreBOM: true })
        .decode(joined(pieces.slice(0, token + 1)), { stream: true });
      isOver = stream.push(token);
      const expected = cut(sure);
      assertEquals(isOver, expected !== undefined, note);
      text += stream.take().text;
      if (expected !== undefined) assertEquals(text, expected, note);
      else {
        assert(sure.startsWith(text), note);
        const held = sure.slice(text.length);
        assert(
          held === "" || chosen.some((stop) => stop.startsWith(held)),
          `${note}: held ${JSON.stringify(held)}`,
        );
      }
    }
    stream.end();
    const rest = stream.take().text;
    if (isOver) assertEquals(rest, "", note);
    else {
      const all = whole(Uint8Array.from(bytes));
      assertEquals(text + rest, cut(all) ?? all, note);
    }
    if (isOver) stopped++;
  }
  assert(stopped > 100, `only ${stopped} trials stopped`);
});

Deno.test("a stop text in the prompt stops nothing, nor does one that begins there", () => {
  const pieces = ["xST", "OP", " and STO", "P more"].map((text) => new TextEncoder().encode(text));
  const stream = new TextStream(spelled(pieces), ["STOP"]);
  stream.echo(0);
  assert(!stream.push(1));
  assert(!stream.push(2));
  assertEquals(stream.take().text, "xSTOP and ");
  assert(stream.push(3));
  assertEquals(stream.take().text, "");
});

Deno.test("tokens of the stop text do not count, the one that it begins in does", () => {
  const pieces = ["one", " two#", "##", "#"].map((text) => new TextEncoder().encode(text));
  const stream = new TextStream(spelled(pieces), ["####"]);
  const parts = pieces.map((_, token) => ({ isOver: stream.push(token), ...stream.take() }));
  assertEquals(parts.map(({ isOver }) => isOver), [false, false, false, true]);
  assertEquals(parts.map(({ text }) => text), ["one", " two", "", ""]);
  assertEquals(parts.flatMap(({ tokens }) => tokens.map(({ textOffset }) => textOffset)), [0, 3]);
});
