/** An evaluation between two steps must tell of the model as it is then, and must not touch the run. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import { Dataset } from "../../../data/mod.ts";
import { HellaSwag } from "../../../model/evaluation/hellaswag.ts";
import { RunHellaSwag } from "../../../model/evaluation/run_hellaswag.ts";
import type { TrainerEvent } from "../../../model/messages.ts";
import { runPipeline } from "../../../model/pipeline.ts";
import type { RunContext } from "../../../model/run/context.ts";
import { planRun } from "../../../model/run_options.ts";
import { type StepFigures, TrainingSession } from "../../../model/session.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { withFolder } from "../command.ts";
import { seededTokens } from "../seeded.ts";

const LINES = ["he was", "It was a cold day at sea, and he", "Call me"].map((ctx, label) => ({
  ctx,
  endings: ["here.", "ran", "a boat", "not I"],
  label,
}));

Deno.test("a run that is evaluated takes the same steps, and the scores are those of its parameters", () =>
  withFolder(async (folder) => {
    const file = join(folder, "val.jsonl");
    await Deno.writeTextFile(file, LINES.map((line) => JSON.stringify(line)).join("\n"));
    const device = await openDevice();
    try {
      const request = {
        out: folder,
        preset: "nano",
        layers: 1,
        width: 32,
        heads: 2,
        context: 16,
        microBatch: 2,
        steps: 8,
        learningRate: 1e-2,
        hellaswagEvery: 4,
        hellaswagLimit: 2,
      } as const;
      const plan = planRun(request, device.capabilities.software);
      const tokenizer = byteTokenizer();
      const tokens = Uint16Array.from(seededTokens(3, 4000, 256));
      const data = new Dataset("test", tokens, { batch: 2, context: 16, seed: 1 });
      const events: TrainerEvent[] = [];
      const session = await TrainingSession.open(device, plan);
      const emit = (event: TrainerEvent) => void events.push(event);
      const run: RunContext = { out: folder, plan, session, data, tokenizer, emit };
      const task = await RunHellaSwag.open(run, { file });
      assertEquals(task.every, 4);
      const train = async (evaluated: boolean): Promise<StepFigures[]> => {
        await session.initialize();
        await runPipeline(function* () {
          for (let step = 0; step < 8; step++) {
            yield* session.submissions(step, [data.batchAt(step)]);
            if (evaluated && (step + 1) % 4 === 0) yield* task.submissions(step + 1);
          }
        }());
        return await session.drain();
      };
      assertEquals(await train(true), await train(false));

      const notice = events.find((event) => event.kind === "notice");
      assertStringIncludes(
        notice?.text ?? "",
        "1 of 2 examples are longer than the model's context of 16 tokens",
      );
      const scores = events.filter((event) => event.kind === "evaluation");
      assertEquals(scores.map(({ step, name, count }) => [step, name, count]), [
        [4, "hellaswag", 2],
        [8, "hellaswag", 2],
      ]);
      const examples = LINES.slice(0, 2).map(({ ctx: context, ...rest }) => ({ context, ...rest }));
      const alone = await HellaSwag.load(device, session.states, plan.model, tokenizer, examples);
      const { losses, ...score } = await alone.run();
      assert(losses.every(({ sums }) => sums.every(Number.isFinite)));
      assertEquals(scores[1], { kind: "evaluation", step: 8, name: "hellaswag", ...score });
    } finally {
      device.destroy();
    }
  }));
