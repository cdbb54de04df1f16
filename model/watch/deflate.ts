/**
 * Bytes to fewer bytes and back, by the algorithm that browsers have too (RFC 1951, without any framing).
 *
 * @module
 */

/** Compressed bytes. */
export async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * What was compressed, if it has exactly `length` bytes; no more than those are ever held.
 *
 * @returns undefined when it has another length, or was damaged.
 */
export async function inflate(
  bytes: Uint8Array<ArrayBuffer>,
  length: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const result = new Uint8Array(length);
  let at = 0;
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    for await (const piece of stream) {
      if (at + piece.length > length) return undefined;
      result.set(piece, at);
      at += piece.length;
    }
  } catch (problem) {
    if (problem instanceof TypeError) return undefined; // damaged, or bytes after the end
    throw problem;
  }
  return at === length ? result : undefined;
}
