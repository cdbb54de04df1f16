/** What is kept must be the file that was published, whole, however the download ends. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { join } from "@std/path";
import { downloadOnce } from "../../data/download.ts";
import { DataError } from "../../data/errors.ts";
import type { RemoteFile } from "../../data/fetch_file.ts";

const CONTENTS = Uint8Array.from({ length: 200_000 }, (_, i) => i * i % 251);

interface Site {
  readonly file: RemoteFile;
  readonly folder: string;
  /** Requests so far. */
  readonly requests: () => number;
}

/** Serves `answer`, which by default is what the file should be. */
async function withSite(
  body: (site: Site) => Promise<void>,
  answer: () => Response = () => new Response(CONTENTS),
): Promise<void> {
  const folder = await Deno.makeTempDir();
  let requests = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => {
    requests++;
    return answer();
  });
  const file: RemoteFile = {
    source: "data test",
    url: `http://127.0.0.1:${server.addr.port}/file`,
    bytes: CONTENTS.length,
    sha256: encodeHex(await crypto.subtle.digest("SHA-256", CONTENTS)),
    remedy: "do without",
  };
  try {
    await body({ file, folder, requests: () => requests });
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

const names = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name);

Deno.test("a file is downloaded once, and then read from the folder", () =>
  withSite(async ({ file, folder, requests }) => {
    const path = join(folder, "deep", "kept.bin");
    for (let i = 0; i < 3; i++) assertEquals(await downloadOnce(file, path), CONTENTS);
    assertEquals(requests(), 1);
    assertEquals(names(join(folder, "deep")), ["kept.bin"]);
  }));

Deno.test("a kept file that was damaged is downloaded anew", () =>
  withSite(async ({ file, folder, requests }) => {
    const path = join(folder, "kept.bin");
    for (const damaged of [CONTENTS.slice(1), CONTENTS.map((byte, i) => i === 777 ? byte ^ 1 : byte)]) {
      await Deno.writeFile(path, damaged);
      assertEquals(await downloadOnce(file, path), CONTENTS);
      assertEquals(await Deno.readFile(path), CONTENTS);
    }
    assertEquals(requests(), 2);
  }));

Deno.test("downloads at the same time do not disturb each other", () =>
  withSite(async ({ file, folder }) => {
    const path = join(folder, "kept.bin");
    const all = await Promise.all(Array.from({ length: 4 }, () => downloadOnce(file, path)));
    for (const bytes of all) assertEquals(bytes, CONTENTS);
    assertEquals(names(folder), ["kept.bin"]);
  }));

const WRONG: [string, () => Response, string][] = [
  ["of another size", () => new Response(CONTENTS.slice(5)), "199995 bytes"],
  ["with other contents", () => new Response(CONTENTS.map((byte) => byte ^ 1)), "another checksum"],
  ["that is missing", () => new Response("no", { status: 404 }), "answered 404"],
];

for (const [what, answer, word] of WRONG) {
  Deno.test(`a download ${what} is refused in one line and leaves nothing`, () =>
    withSite(async ({ file, folder }) => {
      const problem = await assertRejects(() => downloadOnce(file, join(folder, "kept.bin")), DataError);
      assert(problem.message.includes(word) && problem.message.endsWith("do without"), problem.message);
      assert(!problem.message.includes("\n"), problem.message);
      assertEquals(names(folder), []);
    }, answer));
}

Deno.test("a connection that breaks off leaves no file of that name, but the part that came", () =>
  withSite(async ({ file, folder }) => {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const served = listener.accept().then(async (connection) => {
      await connection.read(new Uint8Array(4096));
      const head = `HTTP/1.1 200 OK\r\ncontent-length: ${CONTENTS.length}\r\n\r\n`;
      await connection.write(new TextEncoder().encode(head));
      await connection.write(CONTENTS.subarray(0, 1000));
      connection.close();
      listener.close();
    });
    const url = `http://127.0.0.1:${listener.addr.port}/file`;
    const { message } = await assertRejects(
      () => downloadOnce({ ...file, url }, join(folder, "kept.bin"), { attempts: 2, waitMs: 50 }),
      DataError,
    );
    assert(message.includes("could not be downloaded"), message);
    assertEquals(names(folder), ["kept.bin.part"]);
    assertEquals(await Deno.readFile(join(folder, "kept.bin.part")), CONTENTS.slice(0, 1000));
    await served;
  }));

Deno.test("a folder that cannot be made is named", () =>
  withSite(async ({ file, folder }) => {
    await Deno.writeTextFile(join(folder, "occupied"), "");
    const path = join(folder, "occupied", "kept.bin");
    const { message } = await assertRejects(() => downloadOnce(file, path), DataError);
    assert(message.includes(path), message);
  }));
