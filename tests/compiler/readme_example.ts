/**
 * The worked example of README.md, which shows everything below this comment and what it prints for each stage.
 * `readme_test.ts` keeps the two the same.
 *
 * @module
 */
import { compileStages, explain, LAVAPIPE, type Stage, type Tensor, trace } from "../../compiler/mod.ts";

const block = ({ x, w, gamma, beta }: Record<string, Tensor>) => {
  const h = x.add(x.matmul(w).gelu());
  return { y: h.layerNorm(gamma, beta, 1e-5) };
};
const graph = trace(block, {
  x: { shape: [256, 128], dtype: "f32", role: "batch" },
  w: { shape: [128, 128], dtype: "f32", role: "state" },
  gamma: { shape: [128], dtype: "f32", role: "state" },
  beta: { shape: [128], dtype: "f32", role: "state" },
});
const compilation = compileStages(graph, LAVAPIPE);
console.log(explain(compilation, (Deno.args[0] ?? "groups") as Stage));
