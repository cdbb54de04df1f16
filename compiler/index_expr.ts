/**
 * Index arithmetic: integer expressions over loop variables of known range. Movement ops become substitutions in these
 * expressions, so a transpose or a slice costs an index, not a copy. An expression is kept as a sum of integer multiples
 * of atoms plus a constant; an atom is a variable, a floor division or a remainder. The rules are those of Euclid:
 * x = n·⌊x/n⌋ + x mod n, applied in both directions wherever the ranges of the variables prove them.
 *
 * Coefficients are never negative; the constant may be (a padded axis reads at `i - before`), under a guard.
 *
 * @module
 */

/** A factor that is not a constant. */
export type Atom =
  | { readonly kind: "var"; readonly name: string; readonly size: number }
  | { readonly kind: "div" | "mod"; readonly of: IndexExpr; readonly by: number };

/** One summand. */
export interface Term {
  /** What varies. */
  readonly atom: Atom;
  /** How often it counts. */
  readonly factor: number;
}

/** A sum of terms and a constant. `key` is equal exactly for equal normalised expressions. */
export interface IndexExpr {
  /** What is added up. */
  readonly terms: readonly Term[];
  /** Added to the sum. */
  readonly constant: number;
  /** Equal for equal expressions; also their text. */
  readonly key: string;
}

const atomKeys = new WeakMap<Atom, string>();

function atomKey(atom: Atom): string {
  let key = atomKeys.get(atom);
  if (key === undefined) {
    key = atom.kind === "var" ? atom.name : `(${atom.of.key}${atom.kind === "div" ? "/" : "%"}${atom.by})`;
    atomKeys.set(atom, key);
  }
  return key;
}

function make(terms: readonly Term[], constant: number): IndexExpr {
  const parts = terms.map(({ atom, factor }) => factor === 1 ? atomKey(atom) : `${factor}*${atomKey(atom)}`);
  if (constant !== 0 || parts.length === 0) parts.push(String(constant));
  return { terms, constant, key: parts.join("+") };
}

/** The constant `value`. */
export function constantIndex(value: number): IndexExpr {
  return make([], value);
}

/** The loop variable `name`, which runs from 0 to `size - 1`; with size 1 it is the constant 0. */
export function variable(name: string, size: number): IndexExpr {
  return size === 1 ? constantIndex(0) : make([{ atom: { kind: "var", name, size }, factor: 1 }], 0);
}

/** Smallest and largest value that an expression can take. */
export function rangeOf(expr: IndexExpr): readonly [number, number] {
  let low = expr.constant;
  let high = expr.constant;
  for (const { atom, factor } of expr.terms) {
    const [atomLow, atomHigh] = atomRange(atom);
    low += factor * atomLow;
    high += factor * atomHigh;
  }
  return [low, high];
}

function atomRange(atom: Atom): readonly [number, number] {
  if (atom.kind === "var") return [0, atom.size - 1];
  const [low, high] = rangeOf(atom.of);
  if (atom.kind === "div") return [Math.floor(low / atom.by), Math.floor(high / atom.by)];
  return [0, low >= 0 ? Math.min(high, atom.by - 1) : atom.by - 1];
}

/** Sum of two expressions. */
export function add(a: IndexExpr, b: IndexExpr): IndexExpr {
  if (a.terms.length === 0 && a.constant === 0) return b;
  if (b.terms.length === 0 && b.constant === 0) return a;
  return combine([...a.terms, ...b.terms], a.constant + b.constant);
}

/** Product of an expression and a constant that is not negative. */
export function scale(expr: IndexExpr, factor: number): IndexExpr {
  if (factor === 0) return constantIndex(0);
  if (factor === 1) return expr;
  return make(
    expr.terms.map((term) => ({ atom: term.atom, factor: term.factor * factor })),
    expr.constant * factor,
  );
}

function combine(terms: readonly Term[], constant: number): IndexExpr {
  const sums = new Map<string, { atom: Atom; factor: number }>();
  for (const { atom, factor } of terms) {
    const key = atomKey(atom);
    const known = sums.get(key);
    if (known) known.factor += factor;
    else sums.set(key, { atom, factor });
  }
  rejoin(sums);
  const sorted = [...sums.entries()].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0).map(([, term]) => term);
  return make(sorted, constant);
}

/** Replaces f·(x mod n) + f·n·⌊x/n⌋ by f·x, until no pair is left. */
function rejoin(sums: Map<string, { atom: Atom; factor: number }>): void {
  for (let changed = true; changed;) {
    changed = false;
    for (const [key, { atom, factor }] of sums) {
      if (atom.kind !== "mod") continue;
      const quotient = floorDiv(atom.of, atom.by);
      if (quotient.terms.length !== 1 || quotient.constant !== 0) continue;
      const [whole] = quotient.terms;
      const partner = sums.get(atomKey(whole.atom));
      if (whole.factor !== 1 || atom.of.constant !== 0) continue;
      if (partner?.factor !== factor * atom.by) continue;
      sums.delete(key);
      sums.delete(atomKey(whole.atom));
      for (const term of atom.of.terms) {
        const termKey = atomKey(term.atom);
        const known = sums.get(termKey);
        if (known) known.factor += term.factor * factor;
        else sums.set(termKey, { atom: term.atom, factor: term.factor * factor });
      }
      changed = true;
      break;
    }
  }
}

/** ⌊expr / by⌋. */
export function floorDiv(expr: IndexExpr, by: number): IndexExpr {
  if (by === 1) return expr;
  const { whole, rest } = divideOut(expr, by);
  const [low, high] = rangeOf(rest);
  if (low >= 0 && high < by) return whole;
  return add(whole, divAtom(rest, by));
}

function divAtom(rest: IndexExpr, by: number): IndexExpr {
  const parts = separate(rest, by);
  if (parts) return floorDiv(parts.high, by / parts.unit);
  if (rest.constant === 0 && rest.terms.length === 1 && rest.terms[0].factor === 1) {
    const [{ atom }] = rest.terms;
    if (atom.kind === "div") return floorDiv(atom.of, atom.by * by);
  }
  return make([{ atom: { kind: "div", of: rest, by }, factor: 1 }], 0);
}

/** expr mod by, never negative. */
export function modulo(expr: IndexExpr, by: number): IndexExpr {
  if (by === 1) return constantIndex(0);
  const { rest } = divideOut(expr, by);
  const [low, high] = rangeOf(rest);
  if (low >= 0 && high < by) return rest;
  const parts = separate(rest, by);
  if (parts) return add(scale(modulo(parts.high, by / parts.unit), parts.unit), parts.low);
  if (rest.constant === 0 && rest.terms.length === 1 && rest.terms[0].factor === 1) {
    const [{ atom }] = rest.terms;
    if (atom.kind === "mod" && atom.by % by === 0) return modulo(atom.of, by);
  }
  return make([{ atom: { kind: "mod", of: rest, by }, factor: 1 }], 0);
}

/**
 * expr = unit·high + low with 0 <= low < unit, for some unit > 1 that divides `by`: then ⌊expr / by⌋ = ⌊high / (by/unit)⌋
 * and expr mod by = unit·(high mod (by/unit)) + low.
 */
function separate(
  expr: IndexExpr,
  by: number,
): { unit: number; high: IndexExpr; low: IndexExpr } | undefined {
  const units = [...new Set(expr.terms.map((term) => term.factor))].filter((unit) =>
    unit > 1 && by % unit === 0
  );
  for (const unit of units.sort((a, b) => b - a)) {
    const high = expr.terms.filter((term) => term.factor % unit === 0);
    const constant = Math.floor(expr.constant / unit);
    const low = combine(
      expr.terms.filter((term) => term.factor % unit !== 0),
      expr.constant - constant * unit,
    );
    const [least, most] = rangeOf(low);
    if (least < 0 || most >= unit) continue;
    const divided = high.map(({ atom, factor }) => ({ atom, factor: factor / unit }));
    return { unit, high: combine(divided, constant), low };
  }
  return undefined;
}

/** expr = by·whole + rest, with every coefficient of rest, and its constant, in [0, by). */
function divideOut(expr: IndexExpr, by: number): { whole: IndexExpr; rest: IndexExpr } {
  const whole: Term[] = [];
  const rest: Term[] = [];
  for (const { atom, factor } of expr.terms) {
    const quotient = Math.floor(factor / by);
    if (quotient > 0) whole.push({ atom, factor: quotient });
    if (factor % by > 0) rest.push({ atom, factor: factor % by });
  }
  const quotient = Math.floor(expr.constant / by);
  return { whole: combine(whole, quotient), rest: combine(rest, expr.constant - quotient * by) };
}

function gcd(a: number, b: number): number {
  a = Math.abs(a);
  b = Math.abs(b);
  while (b > 0) [a, b] = [b, a % b];
  return a;
}

/** Replaces variables by expressions. */
export function substitute(expr: IndexExpr, values: ReadonlyMap<string, IndexExpr>): IndexExpr {
  let result = constantIndex(expr.constant);
  for (const { atom, factor } of expr.terms) {
    let value: IndexExpr;
    if (atom.kind === "var") value = values.get(atom.name) ?? make([{ atom, factor: 1 }], 0);
    else if (atom.kind === "div") value = floorDiv(substitute(atom.of, values), atom.by);
    else value = modulo(substitute(atom.of, values), atom.by);
    result = add(result, scale(value, factor));
  }
  return result;
}

/** Names of the variables in an expression. */
export function variablesOf(expr: IndexExpr, into: Set<string> = new Set()): Set<string> {
  for (const { atom } of expr.terms) {
    if (atom.kind === "var") into.add(atom.name);
    else variablesOf(atom.of, into);
  }
  return into;
}

/** Row-major linear index of `indices` into `shape`. */
export function linearize(indices: readonly IndexExpr[], shape: readonly number[]): IndexExpr {
  let linear = constantIndex(0);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    linear = add(linear, scale(indices[axis], stride));
    stride *= shape[axis];
  }
  return linear;
}

/** The index vector of the row-major `linear` position in `shape`. */
export function unravel(linear: IndexExpr, shape: readonly number[]): IndexExpr[] {
  const indices: IndexExpr[] = new Array(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis];
    const outermost = shape.slice(0, axis).every((outer) => outer === 1);
    const shifted = floorDiv(linear, stride);
    indices[axis] = size === 1 ? constantIndex(0) : outermost ? shifted : modulo(shifted, size);
    stride *= size;
  }
  return indices;
}

/** How an expression changes over four consecutive values of a variable that starts at a multiple of four. */
export type LaneStep = "same" | "next" | "other";

/**
 * `same`: the four values are equal. `next`: they are consecutive, and the first one is `alignment`-aligned when
 * {@link alignmentOf} says so. `other`: neither can be proved.
 */
export function laneStep(expr: IndexExpr, name: string): LaneStep {
  let step: LaneStep = "same";
  for (const { atom, factor } of expr.terms) {
    const inner = atomStep(atom, name);
    if (inner === "same") continue;
    if (inner === "other" || factor !== 1 || step !== "same") return "other";
    step = "next";
  }
  return step;
}

function atomStep(atom: Atom, name: string): LaneStep {
  if (atom.kind === "var") return atom.name === name ? "next" : "same";
  const inner = laneStep(atom.of, name);
  if (inner === "same") return "same";
  const aligned = inner === "next" && atom.by % 4 === 0 && alignmentOf(atom.of, name) % 4 === 0;
  if (!aligned) return "other";
  return atom.kind === "div" ? "same" : "next";
}

/** A number that divides the expression whenever the variable `name` is a multiple of four. */
export function alignmentOf(expr: IndexExpr, name: string): number {
  let divisor = Math.abs(expr.constant);
  for (const { atom, factor } of expr.terms) divisor = gcd(divisor, factor * atomAlignment(atom, name));
  return divisor === 0 ? 4 : divisor;
}

function atomAlignment(atom: Atom, name: string): number {
  if (atom.kind === "var") return atom.name === name ? 4 : 1;
  const inner = alignmentOf(atom.of, name);
  if (atom.kind === "mod") return gcd(inner, atom.by);
  return inner % atom.by === 0 ? inner / atom.by : 1;
}

/** WGSL text of an expression, given the text of each variable; all arithmetic is `u32`. */
export function indexToWgsl(expr: IndexExpr, names: (name: string) => string): string {
  const parts: string[] = [];
  for (const { atom, factor } of expr.terms) {
    const text = atom.kind === "var"
      ? names(atom.name)
      : `(${indexToWgsl(atom.of, names)} ${atom.kind === "div" ? "/" : "%"} ${atom.by}u)`;
    parts.push(factor === 1 ? text : `${text} * ${factor}u`);
  }
  let text = parts.join(" + ");
  if (expr.constant > 0 || text === "") text += `${text && " + "}${expr.constant}u`;
  else if (expr.constant < 0) text += ` - ${-expr.constant}u`;
  return expr.terms.length > 1 || (expr.terms.length === 1 && expr.constant !== 0) ? `(${text})` : text;
}
