/** A checkpoint that is wrong and looks right costs its owner the run: every kind of damage must be found. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import {
  CheckpointError,
  latestCheckpoint,
  listCheckpoints,
  openCheckpoint,
  readTensors,
  saveCheckpoint,
} from "../../model/checkpoint.ts";
import { layoutParameters } from "../../model/params.ts";
import { SafetensorsError, SafetensorsFile, writeSafetensors } from "../../model/safetensors.ts";

const config = { layers: 1, width: 8, heads: 2, context: 4, vocabulary: 10 };

function contents(step: number) {
  const layout = layoutParameters(config);
  const parameters = layout.parameters.map(({ name, shape, size, rows }, i) => ({
    name,
    shape: [rows, ...shape.slice(1)],
    data: Float32Array.from({ length: size / shape[0] * rows }, (_, j) => step + i + j / 1000),
  }));
  const flat = { shape: [layout.size], data: new Float32Array(layout.size).fill(step) };
  const optimizer = [{ name: "m", ...flat }, { name: "v", ...flat }];
  return {
    config,
    tokenizer: "{}",
    parameters,
    optimizer,
    trainer: { step, position: step * 2, seed: 1, plan: { a: 1 } },
  };
}

async function withRun(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a checkpoint comes back as it was saved", () =>
  withRun(async (directory) => {
    const saved = contents(12);
    const path = await saveCheckpoint(directory, saved);
    assert(path.endsWith("step-000012"));
    const opened = await openCheckpoint(path);
    assertEquals(opened.config, config);
    assertEquals(opened.trainer, saved.trainer);
    const tensors = await readTensors(opened, "model.safetensors");
    for (const { name, data } of saved.parameters) assertEquals(tensors.get(name), data);
    assertEquals((await readTensors(opened, "trainer.safetensors")).get("m"), saved.optimizer[0].data);
    const huggingFace = JSON.parse(await Deno.readTextFile(join(path, "config.json")));
    assertEquals([huggingFace.n_layer, huggingFace.n_embd, huggingFace.vocab_size], [1, 8, 10]);
  }));

Deno.test("each kind of damage is named, and the next older checkpoint is offered", () =>
  withRun(async (directory) => {
    await saveCheckpoint(directory, contents(1));
    const newest = await saveCheckpoint(directory, contents(2));
    const damage: [string, (path: string) => Promise<void>, string][] = [
      ["model.safetensors", (path) => Deno.truncate(path, 500), "truncated"],
      ["trainer.safetensors", async (path) => {
        using file = await Deno.open(path, { write: true });
        await file.seek(-3, Deno.SeekMode.End);
        await file.write(Uint8Array.of(7));
      }, "changed"],
      ["config.json", (path) => Deno.remove(path), "missing"],
      ["trainer.json", (path) => Deno.writeTextFile(path, '{"format": "sinter-che'), "torn"],
      ["trainer.json", (path) => Deno.writeTextFile(path, '{"format": "other"}'), "format other"],
      ["trainer.json", (path) => Deno.remove(path), "not a checkpoint"],
    ];
    for (const [file, harm, word] of damage) {
      await saveCheckpoint(directory, contents(2));
      await harm(join(newest, file));
      const { message } = await assertRejects(() => openCheckpoint(newest), CheckpointError);
      assert(message.includes(word) && message.includes("step-000002"), message);
      const { checkpoint, rejected } = await latestCheckpoint(directory);
      assertEquals(checkpoint?.trainer.step, 1);
      assertEquals(rejected.map((problem) => problem.path), [newest]);
    }
  }));

Deno.test("a save killed at any moment leaves the older checkpoint and no half one", () =>
  withRun(async (directory) => {
    await saveCheckpoint(directory, contents(1));
    const script = `
      import { saveCheckpoint } from ${
      JSON.stringify(new URL("../../model/checkpoint.ts", import.meta.url).href)
    };
      const big = new Float32Array(4_000_000).fill(1);
      console.log("ready");
      const base = JSON.parse(${
      JSON.stringify(JSON.stringify({ ...contents(2), parameters: [], optimizer: [] }))
    });
      await saveCheckpoint(${JSON.stringify(directory)}, {
        ...base, parameters: [], optimizer: [{ name: "m", shape: [big.length], data: big }],
      });`;
    for (const delay of [0, 5, 15, 30]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["eval", "--no-check", "--quiet", script],
        stdout: "piped",
        stderr: "null",
      }).spawn();
      await child.stdout.getReader().read();
      await new Promise((resolve) => setTimeout(resolve, delay));
      try {
        child.kill("SIGKILL");
      } catch {
        // It was quicker than the kill: then its checkpoint is whole.
      }
      await child.status;
      for (const path of await listCheckpoints(directory)) {
        const names = [...Deno.readDirSync(path)].map(({ name }) => name);
        assertEquals(names.length, 5, `${path} holds ${names}`);
      }
      const { checkpoint } = await latestCheckpoint(directory);
      assertEquals(checkpoint?.trainer.step, 1);
    }
    await saveCheckpoint(directory, contents(3));
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
    assert(!names.some((name) => name.startsWith(".tmp")), `${names}`);
  }));

Deno.test("a broken safetensors header is refused before anything is read for it", () =>
  withRun(async (directory) => {
    const path = join(directory, "a.safetensors");
    const build = (header: string, data = 16, length = header.length) => {
      const bytes = new Uint8Array(8 + header.length + data);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
      bytes.set(new TextEncoder().encode(header), 8);
      return bytes;
    };
    const entry = (name: string, from: number, to: number, shape = "[2,2]", dtype = "F32") =>
      `"${name}":{"dtype":"${dtype}","shape":${shape},"data_offsets":[${from},${to}]}`;
    const broken: [Uint8Array, string][] = [
      [new Uint8Array(4), "truncated"],
      [build("{}", 0, 10 ** 12), "at most"],
      [build("{}", 0, 1000), "truncated"],
      [build("[]", 0), "begin with {"],
      [build("{nope", 0), "not JSON"],
      [build(`{${entry("a", 0, 16)},${entry("b", 8, 24)}}`, 24), "overlaps"],
      [build(`{${entry("a", 8, 24)}}`, 24), "belong to no tensor"],
      [build(`{${entry("a", 0, 16)}}`, 20), "the file at"],
      [build(`{${entry("a", 0, 12)}}`, 12), "needs 16 bytes"],
      [build(`{${entry("a", 0, 16, "[-2,-2]")}}`), "shape"],
      [build(`{${entry("a", 0, 16, "[4294967296,4294967296]")}}`), "needs"],
      [build(`{${entry("a", 0, 16, "[2,2]", "I64")}}`), "dtype I64"],
      [build(`{${entry("a", 0, 16)},${entry("a", 0, 16)}}`), "twice"],
    ];
    for (const [bytes, word] of broken) {
      await Deno.writeFile(path, bytes);
      const { message } = await assertRejects(() => SafetensorsFile.open(path), SafetensorsError);
      assert(message.includes(word), `${message} does not mention ${word}`);
    }
  }));

Deno.test("f16 and bf16 tensors are read as f32", () =>
  withRun(async (directory) => {
    const path = join(directory, "h.safetensors");
    const header =
      `{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]}}`;
    const bytes = new Uint8Array(8 + header.length + 6);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(new TextEncoder().encode(header), 8);
    bytes.set(new Uint8Array(Float16Array.of(1.5, -0.25).buffer), 8 + header.length);
    bytes.set([0x20, 0x41], 8 + header.length + 4); // 10 as bf16
    await Deno.writeFile(path, bytes);
    using file = await SafetensorsFile.open(path);
    assertEquals([...await file.read("h")], [1.5, -0.25]);
    assertEquals([...await file.read("b")], [10]);
  }));

Deno.test("what is written is what is read", () =>
  withRun(async (directory) => {
    const path = join(directory, "w.safetensors");
    const data = Float32Array.of(1, -2, 3.5, 0);
    const out = await Deno.create(path);
    await writeSafetensors(out, [{ name: "x", shape: [2, 2], data }]);
    out.close();
    using file = await SafetensorsFile.open(path);
    assertEquals(file.entries.get("x")?.shape, [2, 2]);
    assertEquals(await file.read("x"), data);
  }));
