/**
 * Snapshot files: what goes in comes out, whatever is damaged is found, and none is larger than it may be.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import { PRESETS } from "../../../model/config.ts";
import { InputError } from "../../../model/errors.ts";
import { layoutParameters } from "../../../model/params.ts";
import { runPipeline } from "../../../model/pipeline.ts";
import { writeArenas } from "../../../model/session.ts";
import type { Observation } from "../../../model/watch/observation.ts";
import {
  BYTES_PER_PARAMETER,
  FLOOR_BYTES,
  listSnapshots,
  planSnapshot,
  readSnapshot,
  Snapshots,
  snapshotTensor,
  writeSnapshot,
} from "../../../model/watch/snapshot.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  mostFileBytes,
  type Snapshot,
  SnapshotError,
} from "../../../model/watch/snapshot_format.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { withFolder } from "../command.ts";
import { LIVELY, livelyWeights } from "../lively_model.ts";
import { seededUniform } from "../seeded.ts";
import { MODEL, observation, PROMPT, snapshot } from "./watched.ts";

const TENSORS = ["wpe.weight", "h.1.attn.c_attn.bias"];
/** A tokenizer of whole words, for models that have GPT-2's vocabulary. */
const WORDS = {
  name: "gpt2",
  encode: (text: string) => Uint16Array.from(text.split(" "), (word) => word.length),
} as const;

function assertSame(found: Snapshot, expected: Snapshot): void {
  const { observation: values, ...head } = found;
  const { observation: kept, ...same } = expected;
  assertEquals(head, same);
  for (const name of ["attention", "topTokens", "sample"] as const) assertEquals(values[name], kept[name]);
  for (const name of ["scores", "topLogprobs", "logprobs", "repeatLoss", "tensors"] as const) {
    assertEquals(values[name], Float32Array.from(new Float16Array(kept[name])), name);
  }
}

Deno.test("a snapshot comes back as it was, floats as halves", async () => {
  await withFolder(async (folder) => {
    const expected = snapshot(120, TENSORS);
    const { path, bytes } = await writeSnapshot(`${folder}/snapshots`, expected);
    assertEquals((await Deno.stat(path)).size, bytes);
    assertSame(await readSnapshot(path), expected);
    await writeSnapshot(`${folder}/snapshots`, snapshot(7));
    await Deno.writeTextFile(`${folder}/snapshots/.tmp-step-000009.snap-1`, "half");
    assertEquals((await listSnapshots(folder)).map(({ step }) => step), [7, 120]);
    assertEquals(await listSnapshots(`${folder}/nothing`), []);
  });
});

Deno.test("scores that do not exist stay that way", async () => {
  const short = snapshot(1);
  const values: Observation = {
    ...short.observation,
    repeatLoss: Float32Array.of(NaN, NaN),
    scores: short.observation.scores.map(() => NaN),
  };
  const read = await decodeSnapshot("x", await encodeSnapshot({ ...short, observation: values }));
  assert(read.observation.scores.every(Number.isNaN) && read.observation.repeatLoss.every(Number.isNaN));
});

Deno.test("a tensor is found by its name, without padded rows", () => {
  const names = ["wte.weight", "h.0.mlp.c_fc.bias"];
  const model = { ...MODEL, vocabulary: 100 };
  const seen = observation(3, { model, tensors: names });
  const whole: Snapshot = { ...snapshot(3), model, prompt: [1, 2], tensors: names, observation: seen };
  assertEquals(snapshotTensor(whole, "wte.weight")?.shape, [100, 12]);
  const bias = snapshotTensor(whole, "h.0.mlp.c_fc.bias");
  assertEquals(bias?.data, seen.tensors.subarray(100 * 12));
  assertEquals(snapshotTensor(whole, "wpe.weight"), undefined);
});

Deno.test("a file that was cut or changed anywhere is refused, and never read as another snapshot", async () => {
  const good = await encodeSnapshot(snapshot(5, TENSORS));
  for (const length of [0, 5, 11, 12, 60, good.length >> 1, good.length - 1]) {
    await assertRejects(() => decodeSnapshot("x", good.slice(0, length)), SnapshotError, "snapshot x");
  }
  await assertRejects(() => decodeSnapshot("x", Uint8Array.from([...good, 0])), SnapshotError);
  const uniform = seededUniform(9);
  for (let i = 0; i < 200; i++) {
    const at = Math.floor(uniform() * good.length);
    const changed = good.slice();
    changed[at] ^= 1 << Math.floor(uniform() * 8);
    const result = await decodeSnapshot("x", changed).catch((problem) => problem);
    assert(result instanceof SnapshotError, `seed 9, byte ${at}: ${result}`);
  }
});

Deno.test("a header that lies is refused before anything is allocated for it", async () => {
  const good = await encodeSnapshot(snapshot(5));
  const length = new DataView(good.buffer).getUint32(8, true);
  const header = JSON.parse(new TextDecoder().decode(good.subarray(12, 12 + length)));
  const withHeader = (changes: unknown) => {
    const packed = good.subarray(12 + length);
    const { sha256: _, ...said } = header;
    const lying = { ...said, ...changes as object };
    const sha256 = createHash("sha256").update(JSON.stringify(lying)).update(packed).digest("hex");
    const text = new TextEncoder().encode(
      typeof changes === "string" ? changes : JSON.stringify({ sha256, ...lying }),
    );
    const file = Uint8Array.from([...good.subarray(0, 12), ...text, ...packed]);
    new DataView(file.buffer).setUint32(8, text.length, true);
    return file;
  };
  const huge = { layers: 192, width: 16384, heads: 256, context: 1024, vocabulary: 2 ** 24 };
  const lies: [unknown, string][] = [
    ["no JSON", "is no JSON"],
    ["[]", "no step"],
    [{ step: -1 }, "no step"],
    [{ model: { ...MODEL, heads: 5 } }, "no sizes of a model"],
    [{ model: { ...MODEL, layers: 1e9 } }, "no sizes of a model"],
    [{ model: null }, "no sizes of a model"],
    [{ model: huge, prompt: new Array(1024).fill(1) }, "not those of its header"],
    [{ model: huge, tensors: ["wte.weight"] }, "not those of its header"],
    [{ tokenizer: "words" }, "names no tokenizer"],
    [{ prompt: [] }, "no prompt"],
    [{ prompt: [256] }, "no prompt"],
    [{ prompt: new Array(17).fill(1) }, "no prompt"],
    [{ sample: 1e9 }, "sample's length"],
    [{ sample: 8 }, "not those of its header"],
    [{ tensors: ["wpe.weight", "wpe.weight"] }, "tensors that its model does not have"],
    [{ tensors: ["__proto__"] }, "tensors that its model does not have"],
    [{ model: { ...MODEL, vocabulary: 126 } }, "outside its vocabulary"],
    [{ sha256: "" }, "changed after it was written"],
  ];
  for (const [lie, problem] of lies) {
    const { message } = await assertRejects(() => decodeSnapshot("x", withHeader(lie)), SnapshotError);
    assertStringIncludes(message, problem, JSON.stringify(lie).slice(0, 80));
  }
  const long = good.slice();
  new DataView(long.buffer).setUint32(8, 2 ** 31, true);
  await assertRejects(() => decodeSnapshot("x", long), SnapshotError, "header of");
});

Deno.test("a plan's bytes are never less than a file's", async () => {
  const model = { ...MODEL, width: 120 };
  for (const tensors of [[], TENSORS]) {
    const whole = { ...snapshot(1, tensors), model, observation: observation(1, { model, tensors }) };
    const sizes = { model, prompt: PROMPT.length, sample: 9, tensors };
    assert((await encodeSnapshot(whole)).length <= mostFileBytes(sizes));
  }
});

Deno.test("a snapshot of GPT-2 takes less than a hundredth of a full state, whatever tensors are allowed", () => {
  const { gpt2 } = PRESETS;
  const limit = Math.floor(0.12 * layoutParameters(gpt2).count);
  const plain = planSnapshot(gpt2, WORDS);
  assertEquals([plain.limitBytes, plain.isFloor, plain.tensors], [limit, false, []]);
  assert(plain.bytes < limit / 100);
  const some = planSnapshot(gpt2, WORDS, { tensors: ["wpe", "h.*.attn.c_attn.bias"] });
  assertEquals(some.tensors.length, 13);
  assertEquals(some.tensors[0], "wpe.weight");
  assert(some.bytes > plain.bytes + 2 * (1024 * 768 + 12 * 2304) && some.bytes <= limit);
  const { message } = assertThrows(() => planSnapshot(gpt2, WORDS, { tensors: ["wte.weight"] }), InputError);
  assertStringIncludes(message, `more than ${limit} bytes (a hundredth of a full state)`);
});

Deno.test("a model too small for a hundredth may have the floor, and no more", () => {
  const plan = planSnapshot(LIVELY, byteTokenizer());
  assert(BYTES_PER_PARAMETER * layoutParameters(LIVELY).count < FLOOR_BYTES);
  assertEquals([plan.limitBytes, plan.isFloor, plan.prompt.length], [FLOOR_BYTES, true, 32]);
  assertThrows(() => planSnapshot(LIVELY, byteTokenizer(), { tensors: ["*"] }), InputError, "small models");
});

Deno.test("what does not fit a model is refused by the flag's name", () => {
  const plan = (choice: { prompt?: string; tensors?: string[] }) => () =>
    planSnapshot(LIVELY, byteTokenizer(), choice);
  assertThrows(plan({ prompt: "x".repeat(33) }), InputError, "33 tokens; give a text of at most 32");
  assertThrows(plan({ prompt: "" }), InputError, "it is empty");
  assertThrows(plan({ tensors: ["h.7.*"] }), InputError, "--snapshot-tensors h.7.*: the model has no such");
});

Deno.test("the snapshots of a run hold the parameters that lie on the device at that step", async () => {
  await withFolder(async (folder) => {
    const device = await openDevice();
    try {
      const states = device.createStates();
      const tokenizer = byteTokenizer();
      const plan = planSnapshot(LIVELY, tokenizer, { prompt: "Call me", tensors: ["h.*.ln_1.bias"] });
      await Deno.mkdir(`${folder}/snapshots`);
      await Deno.writeTextFile(`${folder}/snapshots/.tmp-step-000004.snap-1`, "of a run that was killed");
      const snapshots = await Snapshots.open(folder, device, states, {
        model: LIVELY,
        tokenizer,
        plan,
        seed: 1,
      });
      const layout = layoutParameters(LIVELY);
      const paths: string[] = [];
      for (const step of [0, 10]) {
        const weights = livelyWeights(LIVELY, step);
        writeArenas(states, layout, "params", weights);
        await runPipeline(snapshots.submissions(step, (path, bytes) => {
          assert(bytes <= plan.bytes, `${bytes} of ${plan.bytes}`);
          paths.push(path);
        }));
        const read = await readSnapshot(paths.at(-1)!);
        assertEquals([read.step, read.prompt, read.observation.sample.length], [step, plan.prompt, 120]);
        const { offset } = layout.parameters.find(({ name }) => name === "h.1.ln_1.bias")!;
        assertAlmostEquals(snapshotTensor(read, "h.1.ln_1.bias")!.data[5], weights[offset + 5], 1e-4);
      }
      assertEquals((await listSnapshots(folder)).map(({ path }) => path), paths);
      assertEquals((await Array.fromAsync(Deno.readDir(`${folder}/snapshots`))).length, 2);
    } finally {
      device.destroy();
    }
  });
});
