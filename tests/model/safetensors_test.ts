/** A weights file comes from anywhere: nothing that its header says may be believed before it is checked. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { SafetensorsError, SafetensorsFile, writeSafetensors } from "../../model/safetensors.ts";
import { Prng } from "../support/prng.ts";

async function withFile(body: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(join(directory, "a.safetensors"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function build(header: string | Uint8Array, data = 16, length?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (name: string, from: number, to: number, shape = "[2,2]", dtype = "F32") =>
  `"${name}":{"dtype":"${dtype}","shape":${shape},"data_offsets":[${from},${to}]}`;

const BROKEN: Record<string, [Uint8Array, string]> = {
  "nothing": [new Uint8Array(), "truncated"],
  "less than a length": [new Uint8Array(7), "truncated"],
  "a header of 100 MB and a byte": [build("{}", 0, 100_000_001n), "at most"],
  "a header of 2^64 - 1 bytes": [build("{}", 0, 2n ** 64n - 1n), "at most"],
  "a header past the end": [build("{}", 0, 1000n), "truncated"],
  "no header": [build("", 0), "begin with {"],
  "a list": [build("[]", 0), "begin with {"],
  "space before the header": [build(" {}", 0), "begin with {"],
  "half a header": [build("{nope", 0), "not JSON"],
  "a header in Latin-1": [build(Uint8Array.of(0x7b, 0x22, 0xe9, 0x22, 0x3a, 0x31, 0x7d), 0), "not JSON"],
  "an overlap": [build(`{${entry("a", 0, 16)},${entry("b", 8, 24)}}`, 24), "overlaps"],
  "the same bytes twice": [build(`{${entry("a", 0, 16)},${entry("b", 0, 16)}}`), "overlaps"],
  "a hole in front": [build(`{${entry("a", 8, 24)}}`, 24), "belong to no tensor"],
  "a hole between": [build(`{${entry("a", 0, 16)},${entry("b", 20, 36)}}`, 36), "belong to no tensor"],
  "bytes at the end": [build(`{${entry("a", 0, 16)}}`, 20), "the file at"],
  "too few bytes": [build(`{${entry("a", 0, 16)}}`, 15), "the file at"],
  "offsets that are too few": [build(`{${entry("a", 0, 12)}}`, 12), "needs 16 bytes"],
  "offsets the wrong way round": [build(`{${entry("a", 16, 0)}}`), "needs 16 bytes"],
  "three offsets": [build(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8,16]}}`), "offsets"],
  "offsets that are texts": [build(`{"a":{"dtype":"F32","shape":[4],"data_offsets":["0","16"]}}`), "offsets"],
  "negative sizes": [build(`{${entry("a", 0, 16, "[-2,-2]")}}`), "shape"],
  "sizes that are no integers": [build(`{${entry("a", 0, 16, "[1.6,2.5]")}}`), "shape"],
  "a size past 2^53": [build(`{${entry("a", 0, 16, "[9007199254740993]")}}`), "shape"],
  "a shape of 2^64 values": [build(`{${entry("a", 0, 16, "[4294967296,4294967296]")}}`), "can be counted"],
  "2^64 values made 0": [build(`{${entry("a", 0, 0, "[4294967296,4294967296,0]")}}`, 0), "can be counted"],
  "a shape that is no list": [build(`{${entry("a", 0, 16, "4")}}`), "shape"],
  "an unknown dtype": [build(`{${entry("a", 0, 16, "[2,2]", "F128")}}`), 'dtype "F128"'],
  "a dtype that objects inherit": [build(`{${entry("a", 0, 16, "[2,2]", "constructor")}}`), "dtype"],
  "a tensor that is null": [build(`{"a":null}`), "dtype"],
  "a tensor that is a number": [build(`{"a":4}`), "dtype"],
  "a name twice": [build(`{${entry("a", 0, 16)},${entry("a", 0, 16)}}`), "twice"],
  "a name twice, once escaped": [build(`{${entry("a", 0, 16)},${entry("\\u0061", 16, 32)}}`, 32), "twice"],
  "metadata that is no object": [build(`{"__metadata__":5}`, 0), "__metadata__"],
  "metadata of numbers": [build(`{"__metadata__":{"a":5}}`, 0), "__metadata__"],
};

for (const [what, [bytes, word]] of Object.entries(BROKEN)) {
  Deno.test(`a weights file with ${what} is refused before anything is read for it`, () =>
    withFile(async (path) => {
      await Deno.writeFile(path, bytes);
      const { message } = await assertRejects(() => SafetensorsFile.open(path), SafetensorsError);
      assert(message.includes(word) && message.includes(path), `${message} does not mention ${word}`);
      assert(!message.includes("\n"), message);
    }));
}

Deno.test("a file that is not there, or is a folder, is refused as such", () =>
  withFile(async (path) => {
    await assertRejects(() => SafetensorsFile.open(path), SafetensorsError, "cannot be read");
    await assertRejects(() => SafetensorsFile.open(join(path, "..")), SafetensorsError, "cannot be read");
  }));

Deno.test("no damage to a header makes the reader fail in another way, or read past the file", () =>
  withFile(async (path) => {
    const good = build(
      `{"__metadata__":{"format":"pt"},${entry("a", 0, 16)},${entry("b", 16, 24, "[2,1,2]", "F16")},${
        entry("c", 24, 24, "[0,7]")
      }}`,
      24,
    );
    const seed = 4711;
    const random = new Prng(seed);
    let opened = 0;
    for (let round = 0; round < 600; round++) {
      const bytes = good.slice(0, random.chance(0.2) ? random.integer(0, good.length) : good.length);
      for (let i = random.integer(0, 3); i > 0 && bytes.length > 0; i--) {
        const digit = '0123456789{}[],:"-.eF'.charCodeAt(random.integer(0, 21));
        bytes[random.integer(0, bytes.length - 1)] = random.chance(0.7) ? digit : random.integer(0, 255);
      }
      await Deno.writeFile(path, bytes);
      try {
        using file = await SafetensorsFile.open(path);
        opened++;
        for (const { name, shape } of file.entries.values()) {
          assertEquals((await file.read(name)).length, shape.reduce((product, size) => product * size, 1));
        }
      } catch (problem) {
        assert(problem instanceof SafetensorsError, `seed ${seed}, round ${round}: ${problem}`);
      }
    }
    assert(opened > 50 && opened < 550, `${opened} of 600 were opened: the test shows too little`);
  }));

Deno.test("f16 and bf16 tensors are read as f32", () =>
  withFile(async (path) => {
    const header = `{${entry("h", 0, 4, "[2]", "F16")},${entry("b", 4, 10, "[3]", "BF16")}}`;
    const bytes = build(header, 10);
    bytes.set(new Uint8Array(Float16Array.of(1.5, -0.25).buffer), 8 + header.length);
    bytes.set([0x20, 0x41, 0x80, 0xbf, 0x80, 0x7f], 8 + header.length + 4); // 10, -1 and infinity as bf16
    await Deno.writeFile(path, bytes);
    using file = await SafetensorsFile.open(path);
    assertEquals([...await file.read("h")], [1.5, -0.25]);
    assertEquals([...await file.read("b")], [10, -1, Infinity]);
  }));

Deno.test("what is written is what is read, bit by bit, in any order and from any part of an array", () =>
  withFile(async (path) => {
    const odd = new Float32Array(new Uint32Array([0x7fc00001, 0x80000000, 1, 0xff800000, 0x3f800000]).buffer);
    const tensors = [
      { name: "x", shape: [2, 2], data: odd.subarray(1) },
      { name: "schöner Name\n", shape: [], data: Float32Array.of(4) },
      { name: "empty", shape: [3, 0], data: new Float32Array() },
      { name: "__proto__", shape: [5], data: odd },
    ];
    const out = await Deno.create(path);
    await writeSafetensors(out, tensors, { step: "4" });
    out.close();
    using file = await SafetensorsFile.open(path);
    assertEquals(file.metadata, { format: "pt", step: "4" });
    for (const { name, shape, data } of tensors.toReversed()) {
      assertEquals(file.entries.get(name)?.shape, shape);
      const bits = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)];
      assertEquals(bits(await file.read(name)), bits(data), name);
    }
    const first = Math.min(...file.entries.values().map(({ offset }) => offset));
    assertEquals(first % 8, 0, "the data must begin at a multiple of eight");
    await assertRejects(() => file.read("none"), SafetensorsError, "has no tensor none");
  }));

Deno.test("tensors that would make a file that nobody can read are not written", () =>
  withFile(async (path) => {
    using out = await Deno.create(path);
    const x = { name: "x", shape: [2], data: new Float32Array(2) };
    await assertRejects(() => writeSafetensors(out, [x, x]), RangeError, "twice");
    await assertRejects(() => writeSafetensors(out, [{ ...x, shape: [3] }]), RangeError, "2 values");
    assertEquals((await out.stat()).size, 0);
  }));
