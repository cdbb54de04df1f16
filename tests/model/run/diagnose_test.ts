/**
 * The watch over numbers that are none: what it names, and that weights survive such a step.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { evaluate, probeFinite, trace } from "../../../compiler/mod.ts";
import { planRun } from "../../../model/run_options.ts";
import { badTensorText, findBadTensor } from "../../../model/run/diagnose.ts";
import { checkFinite, DivergedError } from "../../../model/run/finite.ts";
import { TrainingSession } from "../../../model/session.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { seededTokens } from "../seeded.ts";

Deno.test("a probed graph counts the values of every float tensor that are not finite", () => {
  const graph = trace(({ x }) => ({ y: x.log().mul(0).sum() }), {
    x: { shape: [2, 3], dtype: "f32", role: "batch" },
  });
  const probed = probeFinite(graph);
  const { counts } = evaluate(probed.graph, { x: [1, 0, 2, -1, 3, 4] });
  const bad = probed.tensors.map(({ op }, i) => [op, counts[i]]).filter(([, count]) => count !== 0);
  assertEquals(bad, [["log", 2], ["mul", 2], ["sum", 1]]);
  assertEquals(probed.tensors[0].op, "input");
});

Deno.test("a step without a number is refused, but not an overflow in f16 that a smaller loss scale mends", () => {
  const good = { step: 3, loss: 2, gradNorm: 1, learningRate: 1 };
  checkFinite([good, { ...good, gradNorm: Infinity, lossScale: 1024 }]);
  for (
    const bad of [{ loss: NaN }, { loss: Infinity }, { gradNorm: NaN }, { gradNorm: Infinity, lossScale: 1 }]
  ) {
    const error = assertThrows(() => checkFinite([good, { ...good, step: 4, ...bad }]), DivergedError);
    assert(error.message.startsWith("step 5: the loss is "), error.message);
  }
});

Deno.test("a parameter that is not finite is named, and so is what overflows; the step leaves the weights alone", async () => {
  const device = await openDevice();
  try {
    const sizes = {
      preset: "nano",
      layers: 1,
      width: 32,
      heads: 2,
      context: 8,
      microBatch: 2,
      steps: 4,
    } as const;
    const session = await TrainingSession.open(device, planRun({ out: "", ...sizes }, true));
    await session.initialize();
    const drawn = seededTokens(5, 17, 256);
    const batch = { tokens: Int32Array.from(drawn.slice(0, 16)), targets: Int32Array.from(drawn.slice(1)) };
    const state = await session.snapshot();
    const named = (name: string) => session.layout.parameters.find((parameter) => parameter.name === name)!;

    const broken = state.params.slice();
    broken[named("h.0.mlp.c_fc.weight").offset + 3] = NaN;
    broken[named("ln_f.weight").offset] = Infinity;
    session.restore({ ...state, params: broken });
    assertEquals(await findBadTensor(session, [batch]), {
      name: "h.0.mlp.c_fc.weight",
      bad: 1,
      total: 32 * 128,
    });

    // Weights of 1e30 in the feed-forward block: its second product overflows.
    const large = state.params.slice();
    for (const name of ["h.0.mlp.c_fc.weight", "h.0.mlp.c_proj.weight"]) {
      const { offset, size } = named(name);
      large.fill(1e30, offset, offset + size);
    }
    session.restore({ ...state, params: large });
    session.step(0, [batch]);
    const [figures] = await session.drain();
    assertThrows(() => checkFinite([figures]), DivergedError);
    assertEquals((await session.snapshot()).params, large);
    const found = await findBadTensor(session, [batch]);
    const text = found ? badTensorText(found) : "nothing was found";
    assert(
      /^the first tensor that is not finite is \w+ in h\.0\.mlp\.\w+ \(forward pass, model\/gpt2\.ts:\d+, /
        .test(
          text,
        ),
      text,
    );

    session.restore(state);
    assertEquals(await findBadTensor(session, [batch]), undefined);
  } finally {
    device.destroy();
  }
});
