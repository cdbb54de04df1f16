/**
 * The start of a training run as tensor code: random weights drawn on the device by the counter-based generator, zero
 * moments. The same seed gives the same weights on every adapter, to the rounding of `log` and `cos`.
 *
 * @module
 */
import { constant, randomNormal, scope, type Tensor } from "../compiler/mod.ts";
import { pack, type Parameter, type ParameterLayout } from "./params.ts";

/** The arenas of a fresh model's parameters; `key` is a u32 scalar that comes from the seed. */
export function initialParameters(layout: ParameterLayout, key: Tensor): Tensor[] {
  return pack(
    layout,
    Object.fromEntries(layout.parameters.map((parameter, stream) => [
      parameter.name,
      scope(parameter.name, () => initialValue(parameter, key, stream)),
    ])),
  );
}

/** Arenas of zeros: where gradients and moments start. */
export function zeros(layout: ParameterLayout): Tensor[] {
  return layout.arenas.map(({ start, end }) => constant(0, "f32").reshape([1]).broadcastTo([end - start]));
}

function initialValue({ shape, rows, initializer }: Parameter, key: Tensor, stream: number): Tensor {
  if (initializer.kind === "constant") {
    return constant(initializer.value, "f32").reshape(shape.map(() => 1)).broadcastTo(shape);
  }
  const drawn = randomNormal(key, [rows, ...shape.slice(1)], stream).mul(initializer.deviation);
  return rows === shape[0] ? drawn : drawn.pad(shape.map(() => 0), [shape[0] - rows, 0]);
}
