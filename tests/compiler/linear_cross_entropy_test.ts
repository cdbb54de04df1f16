import { assert, assertEquals } from "@std/assert";
import {
  BASELINE,
  bytesPerElement,
  type Capabilities,
  decompose,
  evaluate,
  grad,
  type Graph,
  simplify,
  sizeOf,
  type Tensor,
  trace,
} from "../../compiler/mod.ts";
import { Prng } from "../support/prng.ts";
import { assertValues, f32, random } from "./compute.ts";

const SEED = 23;
const [ROWS, WIDTH, COLUMNS] = [11, 5, 200];

type Loss = (x: Tensor, w: Tensor, targets: Tensor, classes: number) => Tensor;

const chunked: Loss = (x, w, targets, classes) => x.linearCrossEntropy(w, targets, { classes });
const whole: Loss = (x, w, targets, classes) =>
  x.matmul(w, { transB: true }).crossEntropy(targets, { classes });

/** Loss and gradients, times a factor that stands for what comes after the loss. */
function traceLoss(loss: Loss, classes: number): Graph {
  return trace(({ x, w, targets }) => {
    const value = loss(x, w, targets, classes).mul(1.5);
    const [dx, dw] = grad(value, [x, w]);
    return { value, dx, dw };
  }, {
    x: { shape: [ROWS, WIDTH], dtype: "f32", role: "batch" },
    w: { shape: [COLUMNS, WIDTH], dtype: "f32", role: "state" },
    targets: { shape: [ROWS], dtype: "i32", role: "batch" },
  });
}

function inputs(classes: number) {
  const prng = new Prng(SEED);
  return {
    x: random(prng, [ROWS, WIDTH], -2, 2).data,
    w: random(prng, [COLUMNS, WIDTH], -2, 2).data,
    targets: Array.from({ length: ROWS }, () => prng.integer(0, classes - 1)),
  };
}

/** A target whose bindings hold so many elements of f32. */
const bindingOf = (elements: number): Capabilities => ({ ...BASELINE, maxBindingBytes: elements * 4 });

/** Products by x·wᵀ: the logits. */
const logitsIn = ({ nodes }: Graph) => nodes.filter(({ op, attrs }) => op === "matmul" && attrs.transB);

Deno.test("the loss in chunks and windows and its gradients are those of whole logits", () => {
  // Fewer classes than columns: the last window is masked in part, or as a whole, or not at all.
  for (const classes of [200, 150, 64, 3]) {
    const values = inputs(classes);
    const expected = evaluate(traceLoss(whole, classes), values);
    // Everything at once; two windows; four; twenty windows of ten rows.
    for (const elements of [1e6, 128 * WIDTH, 64 * WIDTH, 10 * WIDTH]) {
      const graph = decompose(traceLoss(chunked, classes), bindingOf(elements));
      const actual = evaluate(graph, values);
      for (const [name, data] of Object.entries(expected)) {
        const what = `${name}, ${classes} classes, ${elements} elements, seed ${SEED}`;
        assertValues(f32([...actual[name]]), f32([...data]), 1e-12, what);
      }
    }
  }
});

Deno.test("windows are multiples of 64 where that fits, and chunks take what is left of a binding", () => {
  const shapesAt = (elements: number) => {
    const graph = simplify(decompose(traceLoss(chunked, COLUMNS), bindingOf(elements)));
    return logitsIn(graph).map(({ shape }) => shape);
  };
  assertEquals(shapesAt(1e6), [[11, 200]]);
  assertEquals(shapesAt(130 * WIDTH), [[4, 128], [4, 72], [4, 128], [4, 72], [3, 128], [3, 72]]);
  assertEquals(shapesAt(50 * WIDTH).slice(0, 4), [[4, 50], [4, 50], [4, 50], [4, 50]]);
});

Deno.test("no tensor on the way to the loss and its gradients outgrows a binding", () => {
  for (const elements of [128 * WIDTH, 64 * WIDTH, 10 * WIDTH, WIDTH]) {
    const graph = decompose(traceLoss(chunked, COLUMNS), bindingOf(elements));
    const results = new Set(graph.outputs.map(({ node }) => node));
    for (const { id, op, shape, dtype } of graph.nodes) {
      // The caller's own tensors may be larger; they are bound in windows.
      if (op === "input" || results.has(id) || shape.join() === [COLUMNS, WIDTH].join()) continue;
      if (shape.join() === [ROWS, WIDTH].join()) continue;
      const bytes = sizeOf(shape) * bytesPerElement(dtype);
      assert(bytes <= elements * 4, `${op} [${shape}] takes ${bytes} bytes of ${elements * 4}`);
    }
  }
});

Deno.test("loss and both gradients share one computation of the logits", () => {
  const graph = simplify(decompose(traceLoss(chunked, 150), bindingOf(64 * WIDTH)));
  const products = graph.nodes.filter(({ op }) => op === "matmul");
  const logits = logitsIn(graph);
  assertEquals(logits.length, 4 * 3);
  assertEquals(products.length, 3 * logits.length);
  assertEquals(graph.nodes.filter(({ op }) => op === "log").length, 3); // one for each chunk
});
