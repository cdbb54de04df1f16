/**
 * Values between the kernels of a program: reads whatever lies at a place in its buffers, in float64, and writes a pattern
 * there that no kernel would store.
 *
 * @module
 */
import type { Place } from "../compiler/isolate.ts";
import type { LoadedProgram } from "./execute.ts";
import { download, upload } from "./transfer.ts";
import { toTensorData } from "./values.ts";

/** Reads the values at some places as they are after everything that was queued, for the price of one readback. */
export async function readPlaces(loaded: LoadedProgram, places: readonly Place[]): Promise<Float64Array[]> {
  const ranges = places.map(({ buffer, offset, bytes }) => loaded.rangeIn({ buffer, offset, size: bytes }));
  const bytes = await download(loaded.device, ranges);
  return places.map(({ dtype, at, elements }, i) => {
    const stored = toTensorData(bytes[i], dtype);
    if (!at) return new Float64Array(stored.subarray(0, elements));
    const values = new Float64Array(elements);
    for (let p = 0; p < elements; p++) values[p] = stored[at[p]];
    return values;
  });
}

/**
 * Fills a place with bits that mean "not a number", so that an element that a kernel forgets to store is noticed. Places
 * whose elements do not lie side by side are left as they are.
 *
 * @returns False when it was left.
 */
export function poison(loaded: LoadedProgram, { buffer, offset, bytes, at }: Place): boolean {
  if (at) return false;
  const { buffer: target } = loaded.rangeIn({ buffer, offset, size: bytes });
  upload(loaded.device.gpu, target, offset, new Uint8Array(bytes).fill(0xff));
  return true;
}
