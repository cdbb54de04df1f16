/**
 * `deno task data` as a user calls it: what it writes, from where, and what becomes of it when it is killed.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { parquetWriteBuffer } from "hyparquet-writer";
import { inspectShards, loadText, loadTokenizer, ShardDataset } from "../../../data/mod.ts";
import { run, start, withFolder } from "../../model/command.ts";
import { Prng } from "../../support/prng.ts";

const END = 50_256;
const SEED = 11;

/** Documents of several kinds: long, short, with letters of more than one byte. */
async function makeDocuments(count: number): Promise<string[]> {
  const text = await loadText("moby-dick");
  const random = new Prng(SEED);
  return Array.from({ length: count }, (_, i) => {
    const from = random.integer(0, text.length - 9000);
    return `${i} ${text.slice(from, from + random.integer(1, 4000))}${i % 7 === 0 ? " – Größe 鯨" : ""}`;
  });
}

async function writeParquet(path: string, documents: readonly string[]): Promise<void> {
  const columnData = [
    { name: "id", data: documents.map((_, i) => `${i}`), type: "STRING" as const },
    { name: "text", data: [...documents], type: "STRING" as const },
  ];
  await Deno.writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 100 })));
}

/** `<|endoftext|>` before each document, and nothing else. */
async function tokensOf(documents: readonly string[]): Promise<number[]> {
  const tokenizer = await loadTokenizer("gpt2");
  return documents.flatMap((text) => [END, ...tokenizer.encode(text)]);
}

/** Tokens of .npy shards in their order. */
async function readShards(folder: string, names: readonly string[]): Promise<number[]> {
  const all: number[] = [];
  for (const name of names) {
    const bytes = await Deno.readFile(`${folder}/${name}`);
    const header = 10 + new DataView(bytes.buffer).getUint16(8, true);
    all.push(...new Uint16Array(bytes.buffer.slice(header)));
  }
  return all;
}

const files = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

async function sums(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of files(folder)) {
    const bytes = await Deno.readFile(`${folder}/${name}`);
    found[name] = encodeHex(await crypto.subtle.digest("SHA-256", bytes));
  }
  return found;
}

Deno.test(`shards have every token of every document in order, also after the build was killed (seed ${SEED})`, async () => {
  await withFolder(async (folder) => {
    const documents = await makeDocuments(1200);
    await Deno.mkdir(`${folder}/parquet`);
    await writeParquet(`${folder}/parquet/a.parquet`, documents.slice(0, 700));
    await writeParquet(`${folder}/parquet/b.parquet`, documents.slice(700));
    const build = (out: string) => [
      "parquet",
      `${folder}/parquet`,
      `--out=${folder}/${out}`,
      "--shard-tokens=70000",
      "--workers=2",
    ];
    const whole = await run("data", build("whole"));
    assertEquals(whole.code, 0, whole.stderr);
    const manifest = JSON.parse(await Deno.readTextFile(`${folder}/whole/manifest.json`));
    const names: string[] = manifest.shards.map(({ name }: { name: string }) => name);
    assertEquals(names.slice(0, 2), ["parquet_val_000000.npy", "parquet_train_000001.npy"]);
    assertEquals(files(`${folder}/whole`), ["manifest.json", ...names].sort());
    const expected = await tokensOf(documents);
    assertEquals(await readShards(`${folder}/whole`, names), expected);
    assertEquals(manifest.tokens, expected.length);
    assertEquals((await inspectShards(`${folder}/whole`, { deep: true, vocabulary: END + 1 })).problems, []);
    const data = await ShardDataset.open(`${folder}/whole`, {
      batch: 2,
      context: 64,
      seed: 1,
      vocabulary: END + 1,
    });
    assertEquals(data.trainTokens + data.validationTokens, expected.length);
    data.close();

    const checked = await run("data", ["check", `${folder}/whole`, "--deep"]);
    assertEquals(checked.code, 0, checked.stderr);
    assertMatch(checked.stdout, /every token read, checksums compared\): nothing is wrong/);
    await Deno.mkdir(`${folder}/damaged`);
    for (const name of files(`${folder}/whole`)) {
      await Deno.copyFile(`${folder}/whole/${name}`, `${folder}/damaged/${name}`);
    }
    await Deno.truncate(`${folder}/damaged/${names[1]}`, 5000);
    const damaged = await run("data", ["check", `${folder}/damaged`]);
    assertEquals(damaged.code, 2);
    assertMatch(damaged.stdout, /parquet_train_000001\.npy/);

    for (let kills = 0, done = false; !done; kills++) {
      const child = start("data", build("killed"));
      const timer = setTimeout(() => child.kill("SIGKILL"), 700 + 150 * kills);
      const { success, stderr } = await child.output();
      clearTimeout(timer);
      done = success;
      assert(kills < 20, new TextDecoder().decode(stderr));
    }
    assertEquals(await sums(`${folder}/killed`), await sums(`${folder}/whole`));
  });
});

Deno.test("sources and folders that cannot be are refused in one line", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/x.parquet`, "PAR1 not at all");
    await Deno.writeTextFile(`${folder}/short.txt`, "too short for two shards");
    const out = `--out=${folder}/out`;
    const refusals: [args: string[], message: RegExp][] = [
      [[], /its source is missing; name fineweb-edu, parquet or text/],
      [["wikipedia", out], /wikipedia: no such source/],
      [["fineweb-edu"], /--out: it is missing/],
      [["text", `${folder}/none.txt`, out], /there is no such file/],
      [["parquet", `${folder}/x.parquet`, out], /x\.parquet/],
      [
        ["text", `${folder}/short.txt`, out],
        /all \d+ tokens go into the first shard, which is for validation/,
      ],
      [["text", `${folder}/short.txt`, out, "--column=a"], /text has no columns|has no such choice/],
    ];
    for (const [i, [given, message]] of refusals.entries()) {
      const args = given.map((arg) => arg === out ? `${out}${i}` : arg);
      const { code, stderr } = await run("data", args);
      assertEquals(code, 2, `${args}: ${stderr}`);
      assertMatch(stderr, message);
    }
  });
});

Deno.test("FineWeb-Edu comes from the server that is named, and a file that is not the published one is refused", async () => {
  await withFolder(async (folder) => {
    const requests: string[] = [];
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
      requests.push(new URL(request.url).pathname);
      return new Response("no", { status: 404 });
    });
    try {
      const { code, stderr } = await run("data", [
        "fineweb-edu",
        "--files=1",
        `--out=${folder}/out`,
        `--mirror=http://127.0.0.1:${server.addr.port}`,
      ]);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, /answered 404/);
      const revision = "87f09149ef4734204d70ed1d046ddc9ca3f2b8f9";
      assertEquals([...new Set(requests)], [
        `/datasets/HuggingFaceFW/fineweb-edu/resolve/${revision}/sample/10BT/000_00000.parquet`,
      ]);
    } finally {
      await server.shutdown();
    }
  });
});
