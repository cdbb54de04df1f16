/** Bad files must be refused in one clear line, and a download must be checked before it is kept. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { DataError } from "../../data/errors.ts";
import { loadText } from "../../data/text.ts";

async function refused(source: string, ...words: string[]): Promise<void> {
  const { message } = await assertRejects(() => loadText(source), DataError);
  assert(!message.includes("\n"), message);
  for (const word of words) assert(message.includes(word), `${message} does not mention ${word}`);
}

Deno.test("the embedded text is there without a network", async () => {
  const text = await loadText("moby-dick");
  assert(text.length > 1_000_000 && text.includes("Call me Ishmael."));
});

Deno.test("unknown, missing, empty, binary and non-UTF-8 sources are refused with the remedy", async () => {
  const folder = await Deno.makeTempDir();
  const file = async (name: string, bytes: Uint8Array) => {
    await Deno.writeFile(join(folder, name), bytes);
    return `text:${join(folder, name)}`;
  };
  await refused("poems", "poems", "text:FILE");
  await refused("text:", "names no file");
  await refused(`text:${join(folder, "none.txt")}`, "none.txt", "does not exist");
  await refused(`text:${folder}`, "directory");
  await refused(await file("empty.txt", new Uint8Array()), "empty");
  await refused(await file("image.png", Uint8Array.of(1, 0, 2)), "binary");
  await refused(await file("latin1.txt", Uint8Array.of(0x63, 0xe9, 0x21)), "not UTF-8");
  await refused("text:/dev/zero", "device");
  using sparse = await Deno.create(join(folder, "huge.txt"));
  await sparse.truncate(2 ** 30);
  await refused(`text:${join(folder, "huge.txt")}`, "1073741824 bytes", "at most");
  assertEquals(await loadText(await file("fine.txt", new TextEncoder().encode("naïve"))), "naïve");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a download that is not the known text is refused and not kept", async () => {
  const cacheFolder = await Deno.makeTempDir();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => new Response("To be"));
  const shakespeareUrl = `http://127.0.0.1:${server.addr.port}/input.txt`;
  const { message } = await assertRejects(
    () => loadText("shakespeare", { cacheFolder, shakespeareUrl }),
    DataError,
  );
  assert(message.includes("5 bytes") && message.includes("text:FILE"), message);
  assertEquals([...Deno.readDirSync(cacheFolder)], []);
  await server.shutdown();
  const offline = await assertRejects(
    () => loadText("shakespeare", { cacheFolder, shakespeareUrl }),
    DataError,
  );
  assert(offline.message.includes("could not be downloaded"), offline.message);
  await Deno.remove(cacheFolder, { recursive: true });
});
