/**
 * A program of its own: fetches the package named by its argument and unpacks the SwiftShader in it into TMPDIR. See
 * `swiftshader.ts`, which starts it without this repository's configuration.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// A specifier that is not a literal: whoever checks or caches this repository must not fetch the package.
const [specifier] = Deno.args;
const { inflate }: { inflate(path: string): Promise<string> } = await import(specifier);
const entry = fileURLToPath(import.meta.resolve(specifier));
await inflate(join(dirname(entry), "..", "bin", "swiftshader.tar.br"));
