/** The loss that is published must be that of the batches that were asked for, whatever they are read in. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { evaluate } from "../../../compiler/mod.ts";
import { Dataset } from "../../../data/mod.ts";
import { LossEvaluation } from "../../../model/evaluation/loss.ts";
import { layoutParameters } from "../../../model/params.ts";
import { traceLoss } from "../../../model/programs.ts";
import { writeArenas } from "../../../model/session.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { LIVELY, livelyWeights } from "../lively_model.ts";
import { seededTokens } from "../seeded.ts";

const SHAPE = { batch: 2, context: 16 };

Deno.test("loss, perplexity and bits are means over the batches that were asked for", async () => {
  const data = new Dataset("test", Uint16Array.from(seededTokens(4, 8000, 256)), { ...SHAPE, seed: 1 });
  assert(data.validationBatches > 8);
  const weights = livelyWeights(LIVELY);
  const graph = traceLoss(LIVELY, SHAPE);
  const expected = [0, 1, 2].map((index) =>
    evaluate(graph, { params: weights, ...data.validationBatch(index) }).loss[0]
  ).reduce((sum, loss) => sum + loss / 3, 0);
  const device = await openDevice();
  try {
    const states = device.createStates();
    const evaluation = await LossEvaluation.load(device, states, LIVELY, SHAPE);
    writeArenas(states, layoutParameters(LIVELY), "params", weights);
    const progress: number[] = [];
    const score = await evaluation.run(data, 3, ({ batches }) => progress.push(batches));
    assertAlmostEquals(score.loss, expected, 1e-4);
    assertAlmostEquals(score.perplexity, Math.exp(expected), 0.1);
    assertAlmostEquals(score.bitsPerToken, expected / Math.log(2), 1e-3);
    assertEquals([score.tokens, score.batches], [3 * 2 * 16, 3]);
    assertEquals(progress[0], 1);
    assert(!progress.includes(3), "the end is no progress");
  } finally {
    device.destroy();
  }
});
