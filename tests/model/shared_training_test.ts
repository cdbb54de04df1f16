/**
 * A training run that shares the GPU with another thread.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { TrainerEvent } from "../../model/messages.ts";
import { TrainerClient } from "../../model/trainer_client.ts";
import { ensureAdapter } from "../../runtime/adapter.ts";
import { GpuTurns, TURN_PARTIES } from "../../runtime/mod.ts";
import { Party } from "../runtime/party.ts";

await ensureAdapter();

const STEPS = 60;
const { training, generation } = TURN_PARTIES;

/** Losses of a short run, and what is called at each step. */
async function losses(turns?: SharedArrayBuffer, onStep = () => {}): Promise<number[]> {
  const out = await Deno.makeTempDir();
  const seen: number[] = [];
  const client = new TrainerClient((event: TrainerEvent) => {
    if (event.kind !== "step") return;
    seen.push(event.loss);
    onStep();
  });
  try {
    client.start(
      {
        out,
        ...{ preset: "nano", layers: 1, width: 32, heads: 2, context: 16, microBatch: 2 } as const,
        ...{ steps: STEPS, evalEvery: 20, sampleEvery: 0, tune: "never" },
      },
      turns,
    );
    const last = await client.finished;
    assertEquals(last.kind, "end", JSON.stringify(last));
  } finally {
    client.terminate();
    await Deno.remove(out, { recursive: true });
  }
  return seen;
}

Deno.test("a training run that takes turns learns what it learns alone, and lets the other have its share", async () => {
  const alone = await losses();
  assertEquals(await losses(GpuTurns.create([1, 1])), alone);
  const buffer = GpuTurns.create([1, 1]);
  let other: Party | undefined;
  const shared = await losses(buffer, () => {
    other ??= new Party({ buffer, party: generation, untilMs: 400 });
  });
  assertEquals(shared, alone);
  const { turns } = await other!.report;
  other![Symbol.dispose]();
  assert(turns.length >= 1, "the other party never had a turn");
  const next = new GpuTurns(buffer, training);
  next.begin();
  assert(next.isHeld, "the run has kept its turn");
});

Deno.test("a training Worker that is ended in its turn does not keep it", async () => {
  const buffer = GpuTurns.create([1, 1]);
  const started = Promise.withResolvers<void>();
  const out = await Deno.makeTempDir();
  const client = new TrainerClient(({ kind }) => {
    if (kind === "step") started.resolve();
  });
  client.start(
    {
      out,
      ...{ preset: "nano", layers: 1, width: 32, heads: 2, context: 16, microBatch: 2 } as const,
      ...{ steps: 1e6, evalEvery: 0, sampleEvery: 0, tune: "never" },
    },
    buffer,
  );
  await started.promise;
  client.terminate();
  await Deno.remove(out, { recursive: true });
  using other = new Party({ buffer, party: generation, untilMs: 100 });
  assert((await other.report).turns.length > 0);
});
