/**
 * Downloads from a server that does everything wrong that servers do.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { join } from "@std/path";
import { DataError } from "../../data/errors.ts";
import { fetchFile, type FetchOptions, type RemoteFile } from "../../data/fetch_file.ts";

const CONTENTS = Uint8Array.from({ length: 100_000 }, (_, i) => i * i % 251);
const SHA256 = encodeHex(await crypto.subtle.digest("SHA-256", CONTENTS));

/** What a server answers to a request for bytes from `start` on; undefined: as it should. */
type Answer = (start: number) => Response | undefined;

interface Site {
  readonly file: RemoteFile;
  readonly path: string;
  /** First bytes of the requests so far. */
  readonly starts: readonly number[];
  fetch(options?: FetchOptions, file?: RemoteFile): Promise<unknown>;
}

/** Serves answers one after the other, then good ones. */
async function withSite(answers: readonly Answer[], body: (site: Site) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "sinter-test-" });
  const starts: number[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, ({ headers }) => {
    const start = Number(/^bytes=(\d+)-$/.exec(headers.get("range") ?? "")?.[1] ?? 0);
    starts.push(start);
    return answers[starts.length - 1]?.(start) ?? good(start);
  });
  const path = join(folder, "file.bin");
  const url = `http://127.0.0.1:${server.addr.port}/file`;
  const file: RemoteFile = {
    source: "test",
    url,
    bytes: CONTENTS.length,
    sha256: SHA256,
    remedy: "do without",
  };
  const fetch = (options: FetchOptions = {}, what = file) => fetchFile(what, path, { waitMs: 1, ...options });
  try {
    await body({ file, path, starts, fetch });
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

function good(start: number): Response {
  if (start === 0) return new Response(CONTENTS);
  if (start >= CONTENTS.length) {
    return new Response(null, { status: 416, headers: { "content-range": `bytes */${CONTENTS.length}` } });
  }
  return partial(start, CONTENTS.subarray(start));
}

function partial(start: number, body: BodyInit, from = start): Response {
  const range = `bytes ${from}-${CONTENTS.length - 1}/${CONTENTS.length}`;
  return new Response(body, { status: 206, headers: { "content-range": range } });
}

/** Sends so many bytes and breaks off. */
function broken(start: number, count: number): Response {
  let sent = false;
  const body = new ReadableStream({
    async pull(controller) {
      if (!sent) controller.enqueue(CONTENTS.slice(start, start + count));
      else {
        await new Promise((resolve) => setTimeout(resolve, 20)); // or the first part is never sent
        controller.error();
      }
      sent = true;
    },
  });
  return start === 0 ? new Response(body) : partial(start, body);
}

/** So many bytes of an answer that does not say how many there will be. */
function unmeasured(count: number): Response {
  return new Response(new Blob([CONTENTS.slice(0, count)]).stream());
}

const status = (code: number, headers = {}) => () => new Response("no", { status: code, headers });

const TROUBLES: [name: string, answers: Answer[], starts: number[]][] = [
  ["drops connections", [(start) => broken(start, 1000), (start) => broken(start, 30_000)], [
    0,
    1000,
    31_000,
  ]],
  ["is busy", [status(429, { "retry-after": "0" }), status(503), status(500)], [0, 0, 0, 0]],
  ["sends short bodies", [() => unmeasured(500)], [0, 500]],
  ["answers with another range", [
    () => unmeasured(500),
    (start) => partial(start, CONTENTS.subarray(700), 700),
  ], [0, 500, 0]],
  ["knows no ranges", [() => unmeasured(500), () => new Response(CONTENTS)], [0, 500]],
  ["sends too much", [() => new Response(new Uint8Array(CONTENTS.length + 1))], [0, 0]],
  ["says that a short file is all", [() => new Response(CONTENTS.slice(0, 500))], [0, 0]],
  ["sends another file once", [() => new Response(CONTENTS.map((byte) => byte ^ 1))], [0, 0]],
];

for (const [name, answers, starts] of TROUBLES) {
  Deno.test(`a file comes whole from a server that ${name}, and nothing is asked for twice without need`, () =>
    withSite(answers, async (site) => {
      assertEquals(await site.fetch(), { bytes: CONTENTS.length, sha256: SHA256 });
      assertEquals(await Deno.readFile(site.path), CONTENTS);
      assertEquals(site.starts, starts);
    }));
}

Deno.test("a download that was given up goes on where it was", () =>
  withSite([(start) => broken(start, 40_000), status(503), status(503)], async (site) => {
    await assertRejects(() => site.fetch({ attempts: 2 }), DataError, "the server answered 503");
    assertEquals((await Deno.stat(`${site.path}.part`)).size, 40_000);
    await site.fetch();
    assertEquals(await Deno.readFile(site.path), CONTENTS);
    assertEquals(site.starts, [0, 40_000, 40_000, 40_000]);
  }));

Deno.test("a signal ends a download at once, and what is there stays", () =>
  withSite([(start) => broken(start, 20_000), status(503, { "retry-after": "60" })], async (site) => {
    const abort = new AbortController();
    const fetched = site.fetch({ signal: abort.signal });
    setTimeout(() => abort.abort(new Error("told to stop")), 200);
    await assertRejects(() => fetched, Error);
    assertEquals((await Deno.stat(`${site.path}.part`)).size, 20_000);
  }));

Deno.test("a server that falls silent is asked again", () =>
  withSite(
    [() => new Response(new ReadableStream({ start: (it) => it.enqueue(CONTENTS.slice(0, 100)) }))],
    async (site) => {
      await site.fetch({ patienceMs: 150 });
      assertEquals(site.starts, [0, 100]);
    },
  ));

Deno.test("a file of which nothing is known beforehand is whole when the server says so", () =>
  withSite([(start) => broken(start, 1000)], async (site) => {
    const { url, source, remedy } = site.file;
    assertEquals(await site.fetch({}, { url, source, remedy }), { bytes: CONTENTS.length, sha256: SHA256 });
    assertEquals(site.starts, [0, 1000]);
  }));

Deno.test("progress counts up to the whole file", () =>
  withSite([(start) => broken(start, 1000)], async (site) => {
    const seen: number[] = [];
    await site.fetch({ onProgress: (bytes) => seen.push(bytes) });
    assertEquals(seen.at(-1), CONTENTS.length);
    assert(seen.every((bytes, i) => i === 0 || bytes > seen[i - 1]), `${seen}`);
  }));

Deno.test("what a server refuses for good is not asked for again", () =>
  withSite([status(403)], async (site) => {
    const { message } = await assertRejects(() => site.fetch(), DataError);
    assertEquals(message, "test: could not be downloaded (the server answered 403); do without");
    assertEquals(site.starts.length, 1);
    await assertRejects(() => Deno.stat(`${site.path}.part`), Deno.errors.NotFound);
  }));
