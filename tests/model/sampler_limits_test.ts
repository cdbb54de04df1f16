/** The sampler where rows are extreme: scores that forbid a token, filters that are off, GPT-2's whole vocabulary. */
import { assert, assertEquals } from "@std/assert";
import { compileGraph, evaluate, type Graph, type InputSpec, trace } from "../../compiler/mod.ts";
import { sampleTokens } from "../../model/sampler.ts";
import { runGraph } from "../runtime/run_graph.ts";
import { withDevice } from "../runtime/support.ts";
import { seededUniform } from "./seeded.ts";

type Numbers = Readonly<Record<"temperature" | "topK" | "topP" | "minP", number>>;

const OFF: Omit<Numbers, "topK"> = { temperature: 1, topP: 1, minP: 0 };

function samplerGraph(rows: number, padded: number, vocabulary: number, isFiltered: boolean): Graph {
  const row = (dtype: "f32" | "u32"): InputSpec => ({ shape: [rows], dtype, role: "batch" });
  const specs: Record<string, InputSpec> = {
    logits: { shape: [rows, padded], dtype: "f32", role: "batch" },
    key: row("u32"),
    temperature: row("f32"),
    ...isFiltered ? { topK: row("f32"), topP: row("f32"), minP: row("f32") } : {},
  };
  return trace(({ logits, key, temperature, ...filters }) => ({
    token: sampleTokens(logits, { vocabulary, key, temperature, ...filters }),
  }), specs);
}

function inputsOf(logits: Float32Array<ArrayBuffer>, keys: readonly number[], rows: readonly Numbers[]) {
  const floats = (name: keyof Numbers) => Float32Array.from(rows, (row) => row[name]);
  return {
    logits,
    key: Uint32Array.from(keys),
    temperature: floats("temperature"),
    topK: floats("topK"),
    topP: floats("topP"),
    minP: floats("minP"),
  };
}

Deno.test("tokens forbidden by a score of -1e30 do not blind the filters to the others", async () => {
  const [padded, vocabulary, keys] = [12, 10, 40];
  const logits = Float32Array.of(-1e30, 3, 2, -1e30, 1, 0, 2.5, -1, -1e30, -1e30, 9, 9);
  const cases: (readonly [Numbers, readonly number[]])[] = [
    [{ ...OFF, topK: 1 }, [1]],
    [{ ...OFF, topK: 2 }, [1, 6]],
    [{ ...OFF, topK: 9 }, [1, 2, 4, 5, 6, 7]],
    [{ ...OFF, topK: vocabulary, topP: 0.5 }, [1, 6]],
    [{ ...OFF, topK: vocabulary, minP: 0.5 }, [1, 6]],
    [{ ...OFF, topK: vocabulary, minP: 1 }, [1]],
    [{ ...OFF, topK: 3, topP: 0.6 }, [1, 6]],
    [{ ...OFF, topK: 2, temperature: 0 }, [1]],
  ];
  const alone = samplerGraph(1, padded, vocabulary, true);
  for (const [numbers, allowed] of cases) {
    for (let key = 0; key < keys; key++) {
      const [token] = evaluate(alone, inputsOf(logits, [key], [numbers])).token;
      assert(allowed.includes(token), `${JSON.stringify(numbers)}: drew ${token} with key ${key}`);
    }
  }
  const graph = samplerGraph(cases.length, padded, vocabulary, true);
  const wide = Float32Array.from(cases.flatMap(() => [...logits]));
  await withDevice(async (device) => {
    const program = compileGraph(graph, device.capabilities);
    for (let key = 0; key < 10; key++) {
      const inputs = inputsOf(wide, cases.map(() => key), cases.map(([numbers]) => numbers));
      const { token } = await runGraph(device, graph, program, inputs);
      cases.forEach(([numbers, allowed], i) =>
        assert(allowed.includes(Number(token[i])), `${JSON.stringify(numbers)}: the device drew ${token[i]}`)
      );
    }
  });
});

Deno.test("filters that are off draw the tokens that a program without filters draws, all of a large vocabulary", async () => {
  const seed = 71;
  const uniform = seededUniform(seed);
  const [padded, vocabulary, rows] = [50_304, 50_257, 3];
  const logits = Float32Array.from({ length: rows * padded }, () => 12 * uniform() - 100);
  // Only the last token has a chance in the last row, and padding has the highest score of all.
  for (let row = 0; row < rows; row++) logits.fill(1e4, row * padded + vocabulary, (row + 1) * padded);
  logits[(rows - 1) * padded + vocabulary - 1] = 0;
  const keys = [5, 2 ** 32 - 1, 11];
  const numbers: Numbers[] = [1, 1.5, 0.7].map((temperature) => ({ ...OFF, topK: vocabulary, temperature }));
  await withDevice(async (device) => {
    const draw = async (isFiltered: boolean, among: readonly number[]) => {
      const graph = samplerGraph(among.length, padded, vocabulary, isFiltered);
      const program = compileGraph(graph, device.capabilities);
      const own = Float32Array.from(
        { length: among.length * padded },
        (_, i) => logits[among[Math.floor(i / padded)] * padded + i % padded],
      );
      const inputs = inputsOf(own, among.map((row) => keys[row]), among.map((row) => numbers[row]));
      return Array.from((await runGraph(device, graph, program, inputs)).token, Number);
    };
    const plain = await draw(false, [0, 1, 2]);
    assertEquals(await draw(true, [0, 1, 2]), plain, `seed ${seed}`);
    assertEquals(await draw(true, [1]), [plain[1]], `seed ${seed}: alone`);
    assertEquals(plain[rows - 1], vocabulary - 1);
    assert(plain.every((token) => token >= 0 && token < vocabulary), `seed ${seed}: ${plain}`);
  });
});
