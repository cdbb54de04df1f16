/**
 * Index expressions in numbers: which element each position means, for whoever follows a kernel on the host.
 *
 * @module
 */
import { InternalError } from "./errors.ts";
import type { IndexExpr } from "./index_expr.ts";

/**
 * The values of an expression of one variable, for all of the variable's values from 0 on.
 *
 * @throws {InternalError} when there is another variable in it.
 */
export function evaluateIndex(expr: IndexExpr, name: string, count: number): Uint32Array {
  const value = compiled(expr, name);
  return Uint32Array.from({ length: count }, (_, position) => value(position));
}

type Evaluation = (position: number) => number;

function compiled({ terms, constant }: IndexExpr, name: string): Evaluation {
  const parts = terms.map(({ atom, factor }): Evaluation => {
    if (atom.kind === "var") {
      if (atom.name !== name) throw new InternalError(`index variable ${atom.name} has no value`);
      return (position) => factor * position;
    }
    const { kind, by } = atom;
    const of = compiled(atom.of, name);
    if (kind === "div") return (position) => factor * Math.floor(of(position) / by);
    return (position) => factor * (of(position) % by);
  });
  return (position) => {
    let sum = constant;
    for (const part of parts) sum += part(position);
    return sum;
  };
}
