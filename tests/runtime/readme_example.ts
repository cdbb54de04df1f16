/**
 * The example of README.md that runs on a device, and what it prints. `tests/compiler/readme_test.ts` keeps the two the
 * same.
 *
 * @module
 */
import { compile, ensureAdapter, openDevice } from "../../runtime/mod.ts";

await ensureAdapter();
const device = await openDevice();
const norm = compile(({ x, scale }) => {
  const centred = x.sub(x.mean([1], { keepDims: true }));
  return { y: centred.mul(scale) };
}, { device });
const { y } = await norm({ x: { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 6, 8) }, scale: 10 });
console.log([...y]);
device.destroy();
