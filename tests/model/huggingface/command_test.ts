/**
 * Import and export as a user calls them, and a hub that is not well.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { openCheckpoint } from "../../../model/checkpoint.ts";
import { SafetensorsFile } from "../../../model/safetensors.ts";
import { openWeights } from "../../../model/weights.ts";
import { run, withFolder } from "../command.ts";

const FIXTURES = new URL("fixtures/", import.meta.url).pathname;

Deno.test("a model goes in, says something, and comes out as it was", async () => {
  await withFolder(async (folder) => {
    const imported = await run("import", [`${FIXTURES}step`, `--out=${folder}/step`, "--json"]);
    assertEquals(imported.code, 0, imported.stderr);
    const { path, parameters } = JSON.parse(imported.stdout);
    assertEquals({ path, parameters }, { path: `${folder}/step/step-000000`, parameters: 10_944 });
    assertEquals((await openCheckpoint(path)).hasOptimizer, false);

    const generated = await run("generate", [`--checkpoint=${folder}/step`, "--prompt=ab", "--max-tokens=4"]);
    assertEquals(generated.code, 0, generated.stderr);
    assert(generated.stdout.startsWith("ab"));
    const resumed = await run("train", ["--resume", `--out=${folder}/step`]);
    assertEquals(resumed.code, 2);
    assertMatch(resumed.stderr, /only weights.*--init-from checkpoint:/);
    const again = await run("import", [`${FIXTURES}step`, `--out=${folder}/step`]);
    assertEquals(again.code, 2);
    assertMatch(again.stderr, /there is a run in it already/);

    const exported = await run("export", [`${folder}/step`, `${folder}/out`, "--shard=0.02MB"]);
    assertEquals(exported.code, 0, exported.stderr);
    const original = await (await openWeights(`${FIXTURES}step`)).read();
    const back = await (await openWeights(`${folder}/out`)).read();
    assertEquals(back, original);
    const refused = await run("export", [`${folder}/step`, `${folder}/out`]);
    assertEquals(refused.code, 2);
    assertMatch(refused.stderr, /in it already; name another folder, or add --force/);
    const forced = await run("export", [`${folder}/step`, `${folder}/out`, "--force", "--dtype=bf16"]);
    assertEquals(forced.code, 0, forced.stderr);
    const names = [...Deno.readDirSync(`${folder}/out`)].map(({ name }) => name).sort();
    assertEquals(names, [
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    using file = await SafetensorsFile.open(`${folder}/out/model.safetensors`);
    assertEquals(new Set([...file.entries.values()].map(({ dtype }) => dtype)), new Set(["BF16"]));
    const rounded = await file.read("transformer.wpe.weight");
    const exact = original.get("wpe.weight")!;
    assert(rounded.every((value, i) => Math.abs(value - exact[i]) <= Math.abs(exact[i]) / 256));
  });
});

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** A hub with one model, whose files it may answer in its own way. */
async function withHub(
  body: (mirror: string, requests: string[]) => Promise<void>,
  answer: (name: string, bytes: Uint8Array<ArrayBuffer>) => Response | undefined = () => undefined,
): Promise<void> {
  const requests: string[] = [];
  const siblings: { rfilename: string; size: number; lfs?: unknown }[] = [];
  for (const name of ["config.json", "model.safetensors"]) {
    const bytes = await Deno.readFile(`${FIXTURES}step/${name}`);
    const sha256 = encodeHex(await crypto.subtle.digest("SHA-256", bytes));
    siblings.push({
      rfilename: name,
      size: bytes.length,
      ...name.endsWith("s") && { lfs: { sha256, size: bytes.length } },
    });
  }
  siblings.push({ rfilename: "flax_model.msgpack", size: 5 });
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    requests.push(pathname);
    if (pathname === "/api/models/owner/tiny/revision/main") return Response.json({ sha: COMMIT, siblings });
    const name = pathname.split(`/owner/tiny/resolve/${COMMIT}/`)[1];
    if (name === undefined || !siblings.some(({ rfilename }) => rfilename === name)) {
      return new Response("no", { status: 404 });
    }
    const bytes = await Deno.readFile(`${FIXTURES}step/${name}`);
    return answer(name, bytes) ?? new Response(bytes);
  });
  try {
    await body(`http://127.0.0.1:${server.addr.port}`, requests);
  } finally {
    await server.shutdown();
  }
}

async function importFrom(mirror: string, folder: string, model = "owner/tiny") {
  const args = [model, `--out=${folder}/run`, `--mirror=${mirror}`];
  return await run("import", args, { XDG_CACHE_HOME: `${folder}/cache` });
}

Deno.test("a model of the hub is downloaded once, only what is needed of it, at the commit of its list", () =>
  withFolder((folder) =>
    withHub(async (mirror, requests) => {
      const first = await importFrom(mirror, folder);
      assertEquals(first.code, 0, first.stderr);
      await openCheckpoint(`${folder}/run/step-000000`);
      await Deno.remove(`${folder}/run`, { recursive: true });
      assertEquals((await importFrom(mirror, folder)).code, 0);
      const list = "/api/models/owner/tiny/revision/main";
      const file = (name: string) => `/owner/tiny/resolve/${COMMIT}/${name}`;
      assertEquals(requests.sort(), [list, list, file("config.json"), file("model.safetensors")]);
    })
  ));

Deno.test("a file with another checksum is refused, and a model that is not there is named", () =>
  withFolder((folder) =>
    withHub(
      async (mirror) => {
        const wrong = await importFrom(mirror, folder);
        assertEquals(wrong.code, 2);
        assertMatch(wrong.stderr, /owner\/tiny\/model\.safetensors: the download has another checksum/);
        assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["cache"]);
        const nowhere = await importFrom(mirror, folder, "owner/other");
        assertEquals(nowhere.code, 2);
        assertMatch(
          nowhere.stderr,
          /owner\/other: could not be downloaded \(the server answered 404\); check the name/,
        );
      },
      (name, bytes) => name === "model.safetensors" ? new Response(bytes.map((byte) => byte ^ 1)) : undefined,
    )
  ));

Deno.test("words that name no model are refused in one line", async () => {
  const refusals: [args: string[], message: RegExp][] = [
    [[], /DIR\|OWNER\/MODEL: it is missing/],
    [["a", "b"], /b: one word too many/],
    [["/nonexistent"], /there is no such folder/],
    [["/"], /there is no config\.json in it/],
  ];
  for (const [args, message] of refusals) {
    const { code, stderr } = await run("import", args);
    assertEquals(code, 2);
    assertMatch(stderr, message);
    assertEquals(stderr.trim().split("\n").length, 1, stderr);
  }
});
