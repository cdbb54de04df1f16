/**
 * GPT-2's training step in jax-js, as its users write one: parameters in a tree, `valueAndGrad`, and the whole step
 * under `jit`. Arrays are owned by who holds them: `.ref` wherever one is used again.
 *
 * @module
 */
import { jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { ADAMW, batchOf, BINDING_ELEMENTS, EPSILON, pieces, type StepCase, weight } from "../cases.ts";
import type { Training } from "../runner.ts";

type Block = {
  ln1: { gamma: np.Array; beta: np.Array };
  qkv: { w: np.Array; b: np.Array };
  out: { w: np.Array; b: np.Array };
  ln2: { gamma: np.Array; beta: np.Array };
  up: { w: np.Array; b: np.Array };
  down: { w: np.Array; b: np.Array };
};

type Params = {
  /** Token embedding, cut into pieces of rows that fit a binding. */
  wte: np.Array[];
  wpe: np.Array;
  blocks: Block[];
  ln: { gamma: np.Array; beta: np.Array };
};

type State = { params: Params; m: Params; v: Params };

/** Puts a model and its optimizer on the default device. */
export function trainingOf(one: StepCase): Training {
  const step = jit((state: State, tokens: np.Array, targets: np.Array, time: np.Array) =>
    trainStep(one, state, tokens, targets, time)
  );
  const params = initialParams(one);
  const zeros = () => tree.map((p: np.Array) => np.zeros(p.shape), params) as Params;
  let state: State = { m: zeros(), v: zeros(), params };
  const batch = batchOf(one);
  // In the shape of the activations: jax-js's jit refuses a reshape before the scatter in a gather's gradient.
  const tokens = np.array(batch.tokens, { shape: [one.batch, one.context], dtype: np.int32 });
  const targets = np.array(batch.targets, { dtype: np.int32 });
  let time = 0;
  return {
    async step() {
      time++;
      const result = step(state, tokens.ref, targets.ref, np.array([time])) as {
        loss: np.Array;
        norm: np.Array;
        state: State;
      };
      state = result.state;
      const { loss, norm } = result;
      // Every output of one jit call is queued together; the loss stands for all.
      await submit(loss.ref);
      return async () => ({ loss: (await loss.data())[0], norm: (await norm.data())[0] });
    },
  };
}

/** Queues what an array waits for, without waiting for it, and lets go of it. */
export async function submit(array: np.Array): Promise<void> {
  if (array.device === "webgpu") {
    await array.gpuBuffer();
  } else {
    await array.blockUntilReady();
    array.dispose();
  }
}

function initialParams(one: StepCase): Params {
  const { layers, width, context, vocabulary } = one;
  let seed = 100;
  const random = (shape: number[], deviation = 0.02) =>
    np.array(weight(seed++, shape.reduce((a, b) => a * b), deviation), { shape });
  const linear = (rows: number, cols: number, deviation = 0.02) => ({
    w: random([rows, cols], deviation),
    b: np.zeros([cols]),
  });
  const norm = () => ({ gamma: np.ones([width]), beta: np.zeros([width]) });
  const residual = 0.02 / Math.sqrt(2 * layers);
  // Made whole and then cut, so that the numbers do not depend on the pieces.
  const embedding = weight(seed++, vocabulary * width);
  let row = 0;
  const wte = pieces(vocabulary, one.naive ? vocabulary : Math.floor(BINDING_ELEMENTS / width)).map(
    (rows) => {
      const values = embedding.slice(row * width, (row + rows) * width);
      row += rows;
      return np.array(values, { shape: [rows, width] });
    },
  );
  return {
    wte,
    wpe: random([context, width]),
    blocks: Array.from({ length: layers }, () => ({
      ln1: norm(),
      qkv: linear(width, 3 * width),
      out: linear(width, width, residual),
      ln2: norm(),
      up: linear(width, 4 * width),
      down: linear(4 * width, width, residual),
    })),
    ln: norm(),
  };
}

function trainStep(one: StepCase, state: State, tokens: np.Array, targets: np.Array, time: np.Array) {
  const [loss, grads] = valueAndGrad((params: Params) => lossOf(one, params, tokens, targets))(
    tree.ref(state.params) as Params,
  ) as [np.Array, Params];
  return { loss, ...adamW(one, state, grads, time) };
}

function lossOf(one: StepCase, params: Params, tokens: np.Array, targets: np.Array): np.Array {
  const { batch, context, width, heads } = one;
  const [tables, heads2] = [params.wte.map((table) => table.ref), params.wte];
  let x = embed(tables, tokens).add(params.wpe);
  for (const block of params.blocks) {
    const qkv = linear(layerNorm(x.ref, block.ln1), block.qkv);
    const [q, k, v] = np.split(qkv, 3, -1).map((part) =>
      part.reshape([batch, context, heads, width / heads])
    );
    const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([batch, context, width]);
    x = x.add(linear(mixed, block.out));
    const hidden = nn.gelu(linear(layerNorm(x.ref, block.ln2), block.up), { approximate: true });
    x = x.add(linear(hidden, block.down));
  }
  x = layerNorm(x, params.ln).reshape([batch * context, width]);
  return crossEntropy(one, x, heads2, targets);
}

function layerNorm(x: np.Array, { gamma, beta }: { gamma: np.Array; beta: np.Array }): np.Array {
  return nn.standardize(x, -1, { epsilon: EPSILON }).mul(gamma).add(beta);
}

function linear(x: np.Array, { w, b }: { w: np.Array; b: np.Array }): np.Array {
  return np.matmul(x, w).add(b);
}

/** Rows of the embedding; with several pieces each gives zeros for the tokens of the others. */
function embed(tables: np.Array[], tokens: np.Array): np.Array {
  if (tables.length === 1) return np.take(tables[0], tokens, 0);
  let first = 0;
  const parts = tables.map((table) => {
    const rows = table.shape[0];
    const local = tokens.ref.sub(first);
    const inside = local.ref.greaterEqual(0).mul(local.ref.less(rows));
    const found = np.take(table, np.clip(local, 0, rows - 1), 0);
    first += rows;
    return np.where(inside.reshape([...inside.shape, 1]), found, 0);
  });
  tokens.dispose();
  return parts.reduce((a, b) => a.add(b));
}

/** Mean loss; with several pieces, the logits of some rows at a time, from the vocabulary's pieces. */
function crossEntropy(one: StepCase, x: np.Array, tables: np.Array[], targets: np.Array): np.Array {
  const { batch, context, vocabulary, naive } = one;
  const rows = batch * context;
  const sizes = naive ? [rows] : pieces(rows, Math.floor(BINDING_ELEMENTS / vocabulary));
  const cuts = sizes.slice(0, -1).map((_, i) => sizes.slice(0, i + 1).reduce((a, b) => a + b));
  const xs = sizes.length === 1 ? [x] : np.split(x, cuts, 0);
  const wanted = sizes.length === 1 ? [targets] : np.split(targets, cuts, 0);
  const sums = xs.map((part, i) => {
    const columns = tables.map((table) => np.matmul(part.ref, table.ref.transpose()));
    part.dispose();
    const logits = columns.length === 1 ? columns[0] : np.concatenate(columns, -1);
    const hit = np.arange(vocabulary).astype(np.int32).reshape([1, -1]).equal(wanted[i].reshape([-1, 1]));
    const target = np.where(hit, logits.ref, 0).sum(-1);
    return nn.logsumexp(logits, -1).sub(target).sum();
  });
  for (const table of tables) table.dispose();
  return sums.reduce((a, b) => a.add(b)).div(rows);
}

/** AdamW after clipping by the norm of all gradients together. */
function adamW(one: StepCase, state: State, grads: Params, time: np.Array) {
  const { rate, beta1, beta2, epsilon, decay, clip } = ADAMW;
  const squares = tree.leaves(grads).map((g) => {
    const squared = np.square((g as np.Array).ref);
    // A row at a time first: one sum over a whole matrix is more than lavapipe's 65,535 loop iterations.
    return one.naive || squared.ndim < 2 ? squared.sum() : squared.sum(-1).sum();
  });
  const norm = np.sqrt(squares.reduce((a, b) => a.add(b)));
  const scale = np.minimum(np.array(clip).div(norm.ref.add(1e-6)), 1);
  time = time.reshape([]);
  const correction1 = np.array(1).sub(np.exp(time.ref.mul(Math.log(beta1))));
  const correction2 = np.array(1).sub(np.exp(time.mul(Math.log(beta2))));

  const [ps, structure] = tree.flatten(state.params) as [np.Array[], tree.JsTreeDef];
  const [ms, vs, gs] = [state.m, state.v, grads].map((part) => tree.leaves(part) as np.Array[]);
  const next = ps.map((p, i) => {
    const g = gs[i].mul(scale.ref);
    const m = ms[i].mul(beta1).add(g.ref.mul(1 - beta1));
    const v = vs[i].mul(beta2).add(np.square(g).mul(1 - beta2));
    const update = m.ref.div(correction1.ref).div(np.sqrt(v.ref.div(correction2.ref)).add(epsilon));
    const kept = p.ndim < 2 ? p : p.mul(1 - rate * decay);
    return { p: kept.sub(update.mul(rate)), m, v };
  });
  for (const used of [scale, correction1, correction2]) used.dispose();
  const rebuilt = (pick: (one: typeof next[number]) => np.Array) =>
    tree.unflatten(structure, next.map(pick)) as Params;
  return { norm, state: { params: rebuilt((n) => n.p), m: rebuilt((n) => n.m), v: rebuilt((n) => n.v) } };
}
