/**
 * Multiple choice in rows of one length, so that one program of fixed shape serves every example. A row holds pieces one after
 * the other; a piece is a context and the endings that follow it, which share the context's computation: an ending sees the
 * context and itself, as if it stood alone behind it. Short pieces fill the rows that long ones leave open.
 *
 * @module
 */

/** A question in tokens. */
export interface ChoiceTokens {
  /** At least one token. */
  readonly context: ArrayLike<number>;
  /** At least one token each. */
  readonly endings: readonly ArrayLike<number>[];
}

/** An ending behind its context. */
interface Branch {
  readonly example: number;
  readonly ending: number;
  readonly tokens: readonly number[];
}

/** What stands together. */
interface Piece {
  readonly context: readonly number[];
  readonly branches: readonly Branch[];
  /** Tokens of both. */
  readonly length: number;
}

/** Sizes of a batch, the same for all batches of a {@link Packing}. */
export interface PackedShape {
  /** Rows. */
  readonly rows: number;
  /** Tokens of a row. */
  readonly length: number;
  /** Room for tokens whose loss is taken. */
  readonly scored: number;
}

/** The inputs of one run, and whose losses come out. */
export interface PackedBatch {
  /** i32 inputs of `traceChoices`. */
  readonly inputs: Readonly<
    Record<"tokens" | "positions" | "own" | "root" | "places" | "targets", Int32Array<ArrayBuffer>>
  >;
  /** Where the losses of each ending are among those of the batch: from `start` up to, not including, `end`. */
  readonly spans: readonly {
    readonly example: number;
    readonly ending: number;
    readonly start: number;
    readonly end: number;
  }[];
}

/** All examples in batches. */
export interface Packing {
  readonly shape: PackedShape;
  readonly batches: readonly PackedBatch[];
  /** Examples that are longer than the model's context, of which the end alone is seen. */
  readonly cut: number;
}

/** How to pack. */
export interface PackingOptions {
  /** Most tokens that the model can look at; at least 2. */
  readonly context: number;
  /** Tokens of a row; rows are longer when one ending with its context is. */
  readonly length: number;
  /** Rows of a batch, at most; by default as many as there are tokens for. */
  readonly rows?: number;
  /** Tokens of a batch, where `rows` is left out. */
  readonly tokens: number;
}

/** Row lengths and numbers of scored tokens are multiples of so many, so that tiles fit. */
const ROUND = 16;

/** Packs examples; the same ones always give the same batches. */
export function packChoices(examples: readonly ChoiceTokens[], options: PackingOptions): Packing {
  const { context: limit } = options;
  if (limit < 2) throw new RangeError(`a context of ${limit} tokens predicts nothing; it must be at least 2`);
  const alone = examples.map(({ context, endings }) =>
    Math.min(limit, context.length + Math.max(...endings.map(({ length }) => length)))
  );
  const total = examples.reduce(
    (sum, { context, endings }) => endings.reduce((sum, { length }) => sum + length, sum + context.length),
    0,
  );
  const length = rounded(Math.max(...alone, Math.min(options.length, total)));
  let cut = 0;
  const pieces = examples.flatMap((example, index) => {
    const isCut = example.endings.some((ending) => example.context.length + ending.length > limit);
    if (isCut) cut++;
    return isCut ? cutPieces(example, index, limit) : wholePieces(example, index, length);
  });
  const rows = fillRows(pieces, length);
  const most = options.rows ?? Math.max(1, Math.floor(options.tokens / length));
  const count = Math.ceil(rows.length / most);
  const dealt = deal(rows, count);
  const scored = rounded(Math.max(...dealt.map((rows) => scoredIn(rows.flat()))));
  const shape = { rows: Math.ceil(rows.length / count), length, scored };
  return { shape, batches: dealt.map((rows) => layOut(rows, shape)), cut };
}

function rounded(count: number): number {
  return Math.ceil(count / ROUND) * ROUND;
}

/** As many endings together as a row has room for. */
function wholePieces({ context, endings }: ChoiceTokens, example: number, length: number): Piece[] {
  const pieces: Piece[] = [];
  let branches: Branch[] = [];
  let used = context.length;
  const close = () => {
    if (branches.length > 0) pieces.push({ context: Array.from(context), branches, length: used });
    [branches, used] = [[], context.length];
  };
  endings.forEach((tokens, ending) => {
    if (used + tokens.length > length) close();
    branches.push({ example, ending, tokens: Array.from(tokens) });
    used += tokens.length;
  });
  close();
  return pieces;
}

/**
 * Each ending for itself, with as much of what stands before it as the model can see. Of an ending that is longer than
 * that, the first token that is left takes the context's place.
 */
function cutPieces({ context, endings }: ChoiceTokens, example: number, limit: number): Piece[] {
  return endings.map((ending, index) => {
    const seen = [...Array.from(context), ...Array.from(ending)].slice(-limit);
    const own = Math.min(ending.length, seen.length - 1);
    return {
      context: seen.slice(0, -own),
      branches: [{ example, ending: index, tokens: seen.slice(-own) }],
      length: seen.length,
    };
  });
}

/** Longest first, each into the row in which the least room is left (best fit decreasing, Johnson 1973). */
function fillRows(pieces: readonly Piece[], length: number): Piece[][] {
  const rows: Piece[][] = [];
  /** Rows by the room that they have left. */
  const open: Piece[][][] = Array.from({ length: length + 1 }, () => []);
  for (const piece of pieces.toSorted((a, b) => b.length - a.length)) {
    let room = piece.length;
    while (room < length && open[room].length === 0) room++;
    let row = open[room].pop();
    if (!row) rows.push(row = []);
    row.push(piece);
    open[room - piece.length].push(row);
  }
  return rows;
}

/** Shares rows out to `count` batches, so that each has about as many scored tokens, and long and short examples. */
function deal(rows: readonly Piece[][], count: number): Piece[][][] {
  const batches: Piece[][][] = Array.from({ length: count }, () => []);
  rows.toSorted((a, b) => scoredIn(b) - scoredIn(a)).forEach((row, index) => {
    const [round, place] = [Math.floor(index / count), index % count];
    batches[round % 2 === 0 ? place : count - 1 - place].push(row); // there and back: who got the most gets the least
  });
  return batches;
}

function scoredIn(pieces: readonly Piece[]): number {
  return pieces.reduce(
    (sum, { branches }) => branches.reduce((sum, { tokens }) => sum + tokens.length, sum),
    0,
  );
}

/** Padding stands in a segment of its own, so that it sees nothing but itself. */
const PADDING = 0;

function layOut(rows: readonly (readonly Piece[])[], shape: PackedShape): PackedBatch {
  const size = shape.rows * shape.length;
  const [tokens, positions, own, root] = Array.from({ length: 4 }, () => new Int32Array(size));
  const [places, targets] = Array.from({ length: 2 }, () => new Int32Array(shape.scored));
  const spans: PackedBatch["spans"][number][] = [];
  own.fill(PADDING);
  root.fill(PADDING);
  let segment = PADDING;
  let score = 0;
  rows.forEach((pieces, row) => {
    let at = row * shape.length;
    const put = (values: readonly number[], position: number, of: number, behind: number) => {
      tokens.set(values, at);
      positions.set(values.map((_, i) => position + i), at);
      own.fill(of, at, at + values.length);
      root.fill(behind, at, at + values.length);
      at += values.length;
    };
    for (const { context, branches } of pieces) {
      const shared = ++segment;
      put(context, 0, shared, shared);
      const last = at - 1;
      for (const { example, ending, tokens: values } of branches) {
        const start = score;
        for (const [i, token] of values.entries()) {
          places[score] = i === 0 ? last : at + i - 1;
          targets[score] = token;
          score++;
        }
        put(values, context.length, ++segment, shared);
        spans.push({ example, ending, start, end: score });
      }
    }
  });
  return { inputs: { tokens, positions, own, root, places, targets }, spans };
}
