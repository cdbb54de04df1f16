/** Generation in its Worker: models come, are swapped and go; a device that is lost is replaced. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { GenerationEvent, GenerationRequest } from "../../../model/mod.ts";
import { GenerationClient } from "../../../server/generation/client.ts";
import { PLAIN, textOf } from "../../model/lively_model.ts";
import { saveLively } from "./lively_run.ts";

async function withClient(
  maxModels: number,
  body: (client: GenerationClient, runs: string) => Promise<void>,
): Promise<void> {
  const runs = await Deno.makeTempDir({ prefix: "sinter-" });
  const client = GenerationClient.open({
    runs,
    maxSlots: 4,
    maxWaiting: 50,
    maxPromptTokens: 500,
    maxModels,
    cacheBytes: 2 ** 28,
  });
  try {
    await body(client, runs);
  } finally {
    await client.close();
    await Deno.remove(runs, { recursive: true });
  }
}

async function ask(
  client: GenerationClient,
  model: string | undefined,
  request: GenerationRequest = PLAIN,
  onEvent: (event: GenerationEvent) => void = () => {},
): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of client.generate(model, request, new AbortController().signal)) {
    events.push(event);
    onEvent(event);
  }
  return events;
}

const codeOf = (events: readonly GenerationEvent[]) => {
  const last = events.at(-1)!;
  return last.kind === "failure" ? last.code : last.kind;
};

/** Newer checkpoints are looked for once a second. */
const LOOK_MS = 1100;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("without a model, and for an unknown one, the answer says what there is", async () => {
  await withClient(1, async (client, runs) => {
    const nothing = (await ask(client, undefined)).at(-1)!;
    assert(nothing.kind === "failure" && nothing.message.includes("deno task train"));
    await saveLively(runs, "first", 1, 3);
    await pause(LOOK_MS);
    const unknown = (await ask(client, "second")).at(-1)!;
    assert(
      unknown.kind === "failure" && unknown.code === "unknown_model" && unknown.message.includes("first"),
    );
    assertEquals((await client.models()).map(({ id, step, isLoaded }) => [id, step, isLoaded]), [[
      "first",
      1,
      false,
    ]]);
  });
});

Deno.test("a newer checkpoint answers new requests, and those under way end with the one they began with", async () => {
  await withClient(2, async (client, runs) => {
    await saveLively(runs, "first", 1, 3);
    const long = { ...PLAIN, maxTokens: 1500 };
    const expected = textOf(await ask(client, "first", long));
    let isSwapped = false;
    let swap: Promise<string> | undefined;
    const stream = ask(client, "first", long, () => {
      swap ??= (async () => {
        await saveLively(runs, "first", 2, 4);
        await pause(LOOK_MS);
        const text = textOf(await ask(client, "first"));
        isSwapped = true;
        return text;
      })();
    });
    const kept = textOf(await stream);
    assertEquals(kept, expected, "the stream was continued by other weights");
    const fresh = await swap!;
    assert(isSwapped && fresh !== expected.slice(0, fresh.length), "new requests got the old weights");
    const [model] = await client.models();
    assertEquals([model.step, model.isLoaded], [2, true]);
  });
});

Deno.test("models take turns where only one has room", async () => {
  await withClient(1, async (client, runs) => {
    await saveLively(runs, "first", 1, 3);
    await saveLively(runs, "second", 1, 4);
    const alone = [textOf(await ask(client, "first")), textOf(await ask(client, "second"))];
    assert(alone[0] !== alone[1]);
    const names = ["first", "second", "first", "second", "first"];
    const together = await Promise.all(names.map(async (name) => textOf(await ask(client, name))));
    assertEquals(together, names.map((name) => alone[name === "first" ? 0 : 1]));
  });
});

Deno.test("a checkpoint that is damaged is named, and the next request is answered by another model", async () => {
  await withClient(2, async (client, runs) => {
    await saveLively(runs, "bad", 1, 3);
    await saveLively(runs, "good", 1, 3);
    const file = join(runs, "bad", "step-000001", "model.safetensors");
    await Deno.truncate(file, 100);
    const failed = (await ask(client, "bad")).at(-1)!;
    assert(failed.kind === "failure" && failed.message.includes("model.safetensors"));
    assertEquals(codeOf(await ask(client, "good")), "end");
  });
});

Deno.test("requests that a lost device leaves behind fail, and later ones are answered by its successor", async () => {
  await withClient(2, async (client, runs) => {
    await saveLively(runs, "first", 1, 3);
    const expected = textOf(await ask(client, "first"));
    let isLost = false;
    const broken = await ask(client, "first", { ...PLAIN, maxTokens: 10_000 }, () => {
      if (!isLost) client.lose();
      isLost = true;
    });
    assertEquals(codeOf(broken), "device_lost");
    const counted = client.load().completionTokens;
    const end = performance.now() + 10_000;
    let events = await ask(client, "first");
    while (codeOf(events) === "device_lost" && performance.now() < end) {
      await pause(100);
      events = await ask(client, "first");
    }
    assertEquals(textOf(events), expected);
    await pause(300);
    assert(client.load().completionTokens >= counted, "counters must not fall when a Worker is replaced");
  });
});

Deno.test("a server that goes down lets answers finish, and refuses what comes", async () => {
  await withClient(1, async (client, runs) => {
    await saveLively(runs, "first", 1, 3);
    await ask(client, "first");
    let closing: Promise<void> | undefined;
    const events = await ask(
      client,
      "first",
      { ...PLAIN, maxTokens: 300 },
      () => closing ??= client.close(10_000),
    );
    assertEquals(codeOf(events), "end");
    await closing;
    assertEquals(codeOf(await ask(client, "first")), "shutting_down");
  });
});
