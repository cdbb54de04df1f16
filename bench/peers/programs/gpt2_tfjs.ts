/**
 * GPT-2's training step in TensorFlow.js, as its users write one: parameters are variables, `variableGrads` inside
 * `tidy`, and an optimizer of plain tensor operations, as the library has no AdamW.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ADAMW, batchOf, BINDING_ELEMENTS, EPSILON, pieces, type StepCase, weight } from "../cases.ts";
import type { Training } from "../runner.ts";

interface Linear {
  readonly w: tf.Variable;
  readonly b: tf.Variable;
}

interface Norm {
  readonly gamma: tf.Variable;
  readonly beta: tf.Variable;
}

interface Block {
  readonly ln1: Norm;
  readonly qkv: Linear;
  readonly out: Linear;
  readonly ln2: Norm;
  readonly up: Linear;
  readonly down: Linear;
}

interface Params {
  /** Token embedding, cut into pieces of rows that fit a binding. */
  readonly wte: readonly tf.Variable[];
  readonly wpe: tf.Variable;
  readonly blocks: readonly Block[];
  readonly ln: Norm;
  /** All of the above. */
  readonly all: readonly tf.Variable[];
}

/** Puts a model and its optimizer on the device. */
export function trainingOf(one: StepCase): Training {
  const { batch, context } = one;
  const params = initialParams(one);
  const moments = params.all.map((p) => ({
    m: tf.variable(tf.zeros(p.shape), false),
    v: tf.variable(tf.zeros(p.shape), false),
  }));
  const { tokens, targets } = batchOf(one);
  const inputs = tf.tensor2d(tokens, [batch, context], "int32");
  const wanted = tf.tensor1d(targets, "int32");
  let time = 0;
  return {
    step() {
      time++;
      const [loss, norm] = tf.tidy(() => {
        const { value, grads } = tf.variableGrads(() => lossOf(one, params, inputs, wanted), [...params.all]);
        const norm = adamW(one, params, moments, params.all.map((p) => grads[p.name]), time);
        return [value, norm];
      });
      return Promise.resolve(async () => {
        const figures = { loss: (await loss.data())[0], norm: (await norm.data())[0] };
        tf.dispose([loss, norm]);
        return figures;
      });
    },
  };
}

function initialParams(one: StepCase): Params {
  const { layers, width, context, vocabulary } = one;
  const all: tf.Variable[] = [];
  let seed = 100;
  const keep = (value: tf.Tensor): tf.Variable => {
    const made = tf.variable(value);
    all.push(made);
    return made;
  };
  const random = (shape: number[], deviation = 0.02) =>
    keep(tf.tensor(weight(seed++, shape.reduce((a, b) => a * b), deviation), shape));
  const linear = (rows: number, cols: number, deviation = 0.02) => ({
    w: random([rows, cols], deviation),
    b: keep(tf.zeros([cols])),
  });
  const norm = () => ({ gamma: keep(tf.ones([width])), beta: keep(tf.zeros([width])) });
  const residual = 0.02 / Math.sqrt(2 * layers);
  // Made whole and then cut, so that the numbers do not depend on the pieces.
  const embedding = weight(seed++, vocabulary * width);
  let row = 0;
  const wte = pieces(vocabulary, one.naive ? vocabulary : Math.floor(BINDING_ELEMENTS / width)).map(
    (rows) => {
      const values = embedding.slice(row * width, (row + rows) * width);
      row += rows;
      return keep(tf.tensor(values, [rows, width]));
    },
  );
  const wpe = random([context, width]);
  const blocks = Array.from({ length: layers }, () => ({
    ln1: norm(),
    qkv: linear(width, 3 * width),
    out: linear(width, width, residual),
    ln2: norm(),
    up: linear(width, 4 * width),
    down: linear(4 * width, width, residual),
  }));
  return { wte, wpe, blocks, ln: norm(), all };
}

function lossOf(one: StepCase, params: Params, tokens: tf.Tensor2D, targets: tf.Tensor1D): tf.Scalar {
  const { batch, context, width, heads } = one;
  // Minus a large number above the diagonal.
  const mask = tf.mul(tf.sub(tf.linalg.bandPart(tf.ones([context, context]), -1, 0), 1), 1e30);
  let x: tf.Tensor = tf.add(embed(params.wte, tokens), params.wpe);
  for (const block of params.blocks) {
    const qkv = linear(layerNorm(x, block.ln1), block.qkv);
    const [q, k, v] = tf.split(qkv, 3, -1).map((part) =>
      tf.transpose(tf.reshape(part, [batch, context, heads, width / heads]), [0, 2, 1, 3])
    );
    const mixed = attention(q, k, v, mask);
    const merged = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, context, width]);
    x = tf.add(x, linear(merged, block.out));
    x = tf.add(x, linear(gelu(linear(layerNorm(x, block.ln2), block.up)), block.down));
  }
  return crossEntropy(
    one,
    tf.reshape(layerNorm(x, params.ln), [batch * context, width]),
    params.wte,
    targets,
  );
}

/** Attention of [batch, heads, context, headWidth] under an additive mask. */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(q.shape[3]!));
  return tf.matMul(tf.softmax(tf.add(scores, mask)), v);
}

/** LayerNorm over the last axis. */
export function layerNorm(x: tf.Tensor, { gamma, beta }: { gamma: tf.Tensor; beta: tf.Tensor }): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, EPSILON))), gamma), beta);
}

function linear(x: tf.Tensor, { w, b }: Linear): tf.Tensor {
  const rows = tf.reshape(x, [-1, w.shape[0]!]);
  return tf.reshape(tf.add(tf.matMul(rows as tf.Tensor2D, w), b), [...x.shape.slice(0, -1), w.shape[1]!]);
}

function gelu(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/** Rows of the embedding; with several pieces each gives zeros for the tokens of the others. */
function embed(tables: readonly tf.Tensor[], tokens: tf.Tensor2D): tf.Tensor {
  if (tables.length === 1) return tf.gather(tables[0], tokens);
  let first = 0;
  const parts = tables.map((table) => {
    const rows = table.shape[0]!;
    const local = tf.sub(tokens, tf.scalar(first, "int32"));
    const inside = tf.logicalAnd(tf.greaterEqual(local, 0), tf.less(local, rows));
    first += rows;
    const found = tf.gather(table, tf.cast(tf.clipByValue(local, 0, rows - 1), "int32"));
    return tf.mul(found, tf.cast(tf.expandDims(inside, -1), "float32"));
  });
  return total(parts);
}

/** Mean loss; with several pieces, the logits of some rows at a time, from the vocabulary's pieces. */
function crossEntropy(
  one: StepCase,
  x: tf.Tensor,
  tables: readonly tf.Tensor[],
  targets: tf.Tensor1D,
): tf.Scalar {
  const { batch, context, vocabulary, naive } = one;
  const rows = batch * context;
  const sizes = naive ? [rows] : pieces(rows, Math.floor(BINDING_ELEMENTS / vocabulary));
  const xs = sizes.length === 1 ? [x] : tf.split(x, sizes, 0);
  const wanted = sizes.length === 1 ? [targets] : tf.split(targets, sizes, 0);
  const sums = xs.map((part, i) => {
    const columns = tables.map((table) => tf.matMul(part as tf.Tensor2D, table as tf.Tensor2D, false, true));
    const logits = columns.length === 1 ? columns[0] : tf.concat(columns, -1);
    const hit = tf.oneHot(wanted[i], vocabulary);
    return tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), hit)) as tf.Scalar);
  });
  return tf.div(total(sums), rows);
}

/** Sum of tensors, six at a time: `addN` binds each, and the backend asks its device for eight bindings only. */
function total<T extends tf.Tensor>(terms: readonly T[]): T {
  if (terms.length === 1) return terms[0];
  const groups = Array.from({ length: Math.ceil(terms.length / 6) }, (_, i) => terms.slice(6 * i, 6 * i + 6));
  return total(groups.map((group) => group.length === 1 ? group[0] : tf.addN(group)));
}

/** AdamW after clipping by the norm of all gradients together, which it returns. */
function adamW(
  one: StepCase,
  params: Params,
  moments: readonly { readonly m: tf.Variable; readonly v: tf.Variable }[],
  grads: readonly tf.Tensor[],
  time: number,
): tf.Scalar {
  const { rate, beta1, beta2, epsilon, decay, clip } = ADAMW;
  const squares = grads.map((g) => {
    const squared = tf.square(g);
    // A row at a time first: one sum over a whole matrix is more than lavapipe's 65,535 loop iterations.
    return (one.naive ? tf.sum(squared) : tf.sum(tf.sum(squared, -1))) as tf.Scalar;
  });
  const norm = tf.sqrt(total(squares)) as tf.Scalar;
  const scale = tf.minimum(tf.div(clip, tf.add(norm, 1e-6)), 1);
  const [correction1, correction2] = [1 - beta1 ** time, 1 - beta2 ** time];
  params.all.forEach((p, i) =>
    tf.tidy(() => {
      const { m, v } = moments[i];
      const g = tf.mul(grads[i], scale);
      m.assign(tf.add(tf.mul(m, beta1), tf.mul(g, 1 - beta1)));
      v.assign(tf.add(tf.mul(v, beta2), tf.mul(tf.square(g), 1 - beta2)));
      const update = tf.div(tf.mul(m, rate / correction1), tf.add(tf.sqrt(tf.div(v, correction2)), epsilon));
      p.assign(tf.sub(p.rank < 2 ? p : tf.mul(p, 1 - rate * decay), update));
    })
  );
  return norm;
}
