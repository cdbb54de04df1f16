/**
 * Copies of fixtures.
 *
 * @module
 */

/** Copies the files of a folder into a new one. */
export async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
}
