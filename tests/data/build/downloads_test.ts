/**
 * A sample that is downloaded while it is built, from a server that is not well, and stopped on the way.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { parquetWriteBuffer } from "hyparquet-writer";
import { buildShards, DataError, downloadedInputs, type PublishedFile } from "../../../data/mod.ts";
import { withFolder } from "../../model/command.ts";

/** Files of a sample that is made up, with their contents by path. */
async function makeSample(count: number) {
  const contents = new Map<string, Uint8Array<ArrayBuffer>>();
  const files: PublishedFile[] = [];
  for (let i = 0; i < count; i++) {
    const data = Array.from(
      { length: 60 },
      (_, row) => `file ${i}, row ${row}: ${"words and more ".repeat(row % 9 + 1)}`,
    );
    const columnData = [{ name: "text", data, type: "STRING" as const }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 20 }));
    const [name, path] = [`00${i}.parquet`, `sample/00${i}.parquet`];
    contents.set(`/${path}`, bytes);
    const sha256 = encodeHex(await crypto.subtle.digest("SHA-256", bytes));
    files.push({ name, path, bytes: bytes.length, sha256 });
  }
  return { contents, files };
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

Deno.test("a sample comes through a bad server, is gone on with after a stop, and its files are removed", async () => {
  const { contents, files } = await makeSample(4);
  let requests = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, ({ url, headers }) => {
    const bytes = contents.get(new URL(url).pathname);
    if (!bytes) return new Response("no", { status: 404 });
    requests++;
    if (requests % 3 === 1) return new Response("busy", { status: 503, headers: { "retry-after": "0" } });
    const start = Number(/^bytes=(\d+)-$/.exec(headers.get("range") ?? "")?.[1] ?? 0);
    // Half of what is asked for, without saying how much there is.
    const body = new Blob([
      requests % 3 === 2 ? bytes.slice(start, start + (bytes.length - start >> 1)) : bytes.slice(start),
    ]).stream();
    const range = { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    return start > 0 ? new Response(body, { status: 206, headers: range }) : new Response(body);
  });
  try {
    await withFolder(async (folder) => {
      const build = async (out: string, signal?: AbortSignal, onUnit: () => void = () => {}) =>
        await buildShards({
          folder: `${folder}/${out}`,
          dataset: { name: "made up" },
          inputs: downloadedInputs(files, {
            folder: `${folder}/${out}/parquet`,
            mirror: `http://127.0.0.1:${server.addr.port}`,
            parallel: 2,
            signal,
            fetching: { waitMs: 1 },
          }),
          format: "bin",
          prefix: "sample",
          shardTokens: 2000,
        }, { workers: 2, signal, onProgress: onUnit, durableMs: 0 });
      const manifest = await build("whole");
      assertEquals(manifest.files.map(({ sha256 }) => sha256), files.map(({ sha256 }) => sha256));
      assertEquals(names(`${folder}/whole/parquet`), []);
      assertEquals(manifest.documents, 240);

      for (let stops = 0;; stops++) {
        assert(stops < 20);
        const stop = new AbortController();
        let units = 0;
        const built = build("stopped", stop.signal, () => ++units === 2 && stop.abort(new Error("stopped")));
        if (await built.then(() => true, () => false)) break;
      }
      for (const { name, sha256 } of manifest.shards) {
        const bytes = await Deno.readFile(`${folder}/stopped/${name}`);
        assertEquals(encodeHex(await crypto.subtle.digest("SHA-256", bytes)), sha256, name);
      }

      contents.set("/sample/002.parquet", contents.get("/sample/001.parquet")!);
      const { message } = await assertRejects(() => build("wrong"), DataError);
      assert(message.includes("002.parquet"), message);
    });
  } finally {
    await server.shutdown();
  }
});
