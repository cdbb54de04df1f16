/**
 * What a request to train may say.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ApiError } from "../../../server/http/error.ts";
import { checkConfig, trainRequest } from "../../../server/training/request.ts";

function refusal(config: Record<string, unknown>): ApiError {
  const error = assertThrows(() => checkConfig(config), ApiError);
  assertEquals(error.status, 400, error.message);
  return error;
}

Deno.test("every field of the command line that names no file reaches the trainer", () => {
  const config = {
    name: "first-run_1",
    preset: "nano",
    layers: 2,
    width: 64,
    heads: 2,
    context: 32,
    tokenizer: "bytes",
    data: "shakespeare",
    steps: 10,
    microBatch: 2,
    batchTokens: 128,
    learningRate: 0.01,
    schedule: "linear",
    warmup: 3,
    minLearningRate: 0,
    seed: 7,
    dtype: "f32",
    mode: "eager",
    memory: "1.5GiB",
    evalEvery: 0,
    evalBatches: 3,
    earlyStop: 4,
    reference: "fineweb-124M",
    saveEvery: 5,
    keepLast: 2,
    keepEvery: 10,
    sampleEvery: 0,
    tune: "never",
  };
  const { name: _, memory: _memory, ...same } = config;
  assertEquals(trainRequest(checkConfig(config), "runs/x"), {
    ...same,
    memoryBytes: 1.5 * 2 ** 30,
    out: "runs/x",
    record: false,
    profile: "runs/x/profile.json",
    profileSteps: 3,
    profileIsOptional: true,
  } as ReturnType<typeof trainRequest>);
  assertEquals(checkConfig({}), {});
});

Deno.test("a file that a client names is not opened, and the message says what to name", () => {
  for (const data of ["text:/etc/passwd", "text:README.md", "/etc/passwd", "../x", "http://x/y"]) {
    const { details, message } = refusal({ data });
    assertEquals(details.param, "data");
    assert(/moby-dick.*shakespeare/.test(message), message);
  }
  assert(refusal({ data: "text:x" }).message.includes("opens no files"));
});

Deno.test("fields that a job has not are refused, above all those that name files", () => {
  for (
    const field of ["out", "resume", "profile", "profileSteps", "json", "lr", "constructor", "__proto__x"]
  ) {
    assert(refusal({ [field]: "x" }).message.includes(field), field);
  }
});

Deno.test("values that no flag would take are refused, by the field's name", () => {
  const bad: Record<string, readonly unknown[]> = {
    name: ["", "a/b", "..", ".hidden", "-x", "a b", "x".repeat(65), "ä", "a\n", 5],
    preset: ["huge", null],
    layers: [0, -1, 1.5, "2", NaN, 1e99],
    learningRate: [0, -1, 2, Infinity, NaN, "0.1"],
    seed: [-1, 2 ** 32, 0.5],
    steps: [0, 2 ** 31],
    saveEvery: [-1, true],
    tune: [true, "maybe"],
    memory: ["4", "lots", "-1GB", 4e9],
    mode: ["fast"],
  };
  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) {
      const { details } = refusal({ preset: "nano", [field]: value });
      assertEquals(details.param, field, `${field}: ${value}`);
    }
  }
});

Deno.test("numbers that do not fit together are refused in the API's words, not the command line's", () => {
  const batch = refusal({ preset: "nano", microBatch: 2, context: 16, batchTokens: 33 });
  assertEquals(batch.details.param, "batchTokens");
  assert(/batchTokens 33: not a multiple of microBatch 2 x context 16/.test(batch.message), batch.message);
  const heads = refusal({ preset: "nano", width: 100, heads: 3 });
  assert(!heads.message.includes("--"), heads.message);
  assertEquals(heads.details.param, "width");
});

Deno.test("what only one kind of adapter could run is not refused before the adapter is known", () => {
  // A micro batch of gpt2 is 1 x 1024 tokens on a processor and 4 x 1024 on a GPU.
  assertEquals(checkConfig({ preset: "gpt2", batchTokens: 1024 }), { preset: "gpt2", batchTokens: 1024 });
});
