/** A checkpoint that is wrong and looks right costs its owner the run: every kind of damage must be found. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import {
  CheckpointError,
  latestCheckpoint,
  listCheckpoints,
  openCheckpoint,
  readTensors,
  saveCheckpoint,
} from "../../model/checkpoint.ts";
import { large, SMALL, small } from "./checkpoints.ts";

async function withRun(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function rewrite(path: string, from: string, to: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  assert(text.includes(from), `${path} has no ${from}`);
  await Deno.writeTextFile(path, text.replace(from, to));
}

const names = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();

Deno.test("a checkpoint comes back as it was saved", () =>
  withRun(async (directory) => {
    const saved = small(12);
    const path = await saveCheckpoint(directory, saved);
    assert(path.endsWith("step-000012"));
    const opened = await openCheckpoint(path);
    assertEquals(opened.config, SMALL);
    assertEquals(opened.trainer, saved.trainer);
    const tensors = await readTensors(opened, "model.safetensors");
    for (const { name, data } of saved.parameters) assertEquals(tensors.get(name), data);
    assertEquals((await readTensors(opened, "trainer.safetensors")).get("m"), saved.optimizer![0].data);
    const huggingFace = JSON.parse(await Deno.readTextFile(join(path, "config.json")));
    assertEquals([huggingFace.n_layer, huggingFace.n_embd, huggingFace.vocab_size], [1, 8, 10]);
  }));

Deno.test("each kind of damage is named, and the next older checkpoint is offered", () =>
  withRun(async (directory) => {
    await saveCheckpoint(directory, small(1));
    const newest = await saveCheckpoint(directory, small(2));
    const damage: [string, (path: string) => Promise<void>, string][] = [
      ["model.safetensors", (path) => Deno.truncate(path, 500), "truncated"],
      ["trainer.safetensors", async (path) => {
        using file = await Deno.open(path, { write: true });
        await file.seek(-3, Deno.SeekMode.End);
        await file.write(Uint8Array.of(7));
      }, "changed"],
      ["config.json", (path) => Deno.remove(path), "missing"],
      ["trainer.json", (path) => Deno.writeTextFile(path, '{"format": "sinter-che'), "torn"],
      ["trainer.json", (path) => Deno.writeTextFile(path, '{"format": "other"}'), "format other"],
      ["trainer.json", (path) => rewrite(path, '"step": 2', '"step": 3'), "trainer.json was changed"],
      ["trainer.json", (path) => rewrite(path, '"a": 1', '"a": 7'), "trainer.json was changed"],
      ["trainer.json", (path) => Deno.writeTextFile(path, "null"), "format undefined"],
      ["trainer.json", (path) => Deno.remove(path), "not a checkpoint"],
      ["model.safetensors", async (path) => {
        await Deno.remove(path);
        await Deno.mkdir(path);
      }, "directory"],
    ];
    for (const [file, harm, word] of damage) {
      await saveCheckpoint(directory, small(2));
      await harm(join(newest, file));
      const { message } = await assertRejects(() => openCheckpoint(newest), CheckpointError);
      assert(message.includes(word) && message.includes("step-000002"), message);
      const { checkpoint, rejected } = await latestCheckpoint(directory);
      assertEquals(checkpoint?.trainer.step, 1);
      assertEquals(rejected.map((problem) => problem.path), [newest]);
    }
  }));

Deno.test("contents that do not fit the model are refused when opened, however well their checksums match", () =>
  withRun(async (directory) => {
    const good = small(1);
    const [first, ...others] = good.parameters;
    const flat = good.optimizer![0];
    const cases: [Partial<typeof good>, string][] = [
      [{ parameters: others }, `lacks ${first.name}`],
      [{ parameters: [...good.parameters, { ...first, name: "extra" }] }, "the model"],
      [{ parameters: [{ ...first, shape: [...first.shape].reverse() }, ...others] }, "the model needs"],
      [{ optimizer: [flat] }, "lacks v"],
      [{ optimizer: [flat, { name: "v", shape: [1], data: new Float32Array(1) }] }, "v is [1]"],
      [{ config: { ...SMALL, heads: 3 } }, "no proper model"],
      [{ config: { ...SMALL, layers: 1e12 } }, "no proper model"],
      [{ config: { ...SMALL, layers: 2 } }, "lacks h.1"],
      [{ trainer: { ...good.trainer, position: -1 } }, "lacks step, position"],
    ];
    for (const [change, word] of cases) {
      const path = await saveCheckpoint(directory, { ...good, ...change });
      const { message } = await assertRejects(() => openCheckpoint(path), CheckpointError);
      assert(message.includes(word), `${message} does not mention ${word}`);
    }
  }));

Deno.test("a folder that is not a checkpoint, or has another step's name, is refused with that reason", () =>
  withRun(async (directory) => {
    await assertRejects(
      () => openCheckpoint(join(directory, "none")),
      CheckpointError,
      "nothing of that name",
    );
    await assertRejects(() => openCheckpoint(directory), CheckpointError, "not a checkpoint of Sinter's");
    const path = await saveCheckpoint(directory, small(4));
    await Deno.rename(path, join(directory, "best"));
    assertEquals((await openCheckpoint(join(directory, "best"))).trainer.step, 4);
    await Deno.rename(join(directory, "best"), join(directory, "step-000009"));
    await assertRejects(
      () => openCheckpoint(join(directory, "step-000009")),
      CheckpointError,
      "it is of step 4",
    );
  }));

Deno.test("checkpoints are listed by step, newest first, and nothing else is", () =>
  withRun(async (directory) => {
    assertEquals(await listCheckpoints(join(directory, "none")), []);
    for (const step of [9, 1_000_000, 10]) await saveCheckpoint(directory, small(step));
    await Deno.mkdir(join(directory, "step-12"));
    await Deno.writeTextFile(join(directory, "step-000011"), "");
    assertEquals(
      await listCheckpoints(directory),
      ["step-1000000", "step-000010", "step-000009"].map((name) => join(directory, name)),
    );
  }));

Deno.test("a step that was moved aside by a killed save is found, and put back by the next save", () =>
  withRun(async (directory) => {
    const path = await saveCheckpoint(directory, small(5));
    await Deno.rename(path, `${path}.replaced`);
    const { checkpoint, rejected } = await latestCheckpoint(directory);
    assertEquals([checkpoint?.trainer.step, rejected], [5, []]);
    await saveCheckpoint(directory, small(6));
    assertEquals(names(directory), ["step-000005", "step-000006"]);
    assertEquals((await openCheckpoint(path)).trainer.step, 5);
  }));

/** Starts a process that saves the large checkpoint of `step`; by default without a limit on the size of a file. */
function startSave(directory: string, step: number, limit = ""): Deno.ChildProcess {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const script = `
    import { saveCheckpoint } from ${module("../../model/checkpoint.ts")};
    import { large } from ${module("./checkpoints.ts")};
    try {
      await saveCheckpoint(${JSON.stringify(directory)}, large(${step}));
    } catch (problem) {
      console.log(problem.name + " " + problem.message);
      Deno.exit(3);
    }`;
  return new Deno.Command("sh", {
    args: ["-c", `${limit} exec "$0" "$@"`, Deno.execPath(), "eval", "--no-check", "--quiet", script],
    cwd: fromFileUrl(new URL("../..", import.meta.url)),
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

/** Kills the process as soon as a half-written folder holds `count` files. False when it was through before. */
async function killAt(child: Deno.ChildProcess, directory: string, count: number): Promise<boolean> {
  let ended = false;
  const end = child.status.then(() => ended = true);
  const isThere = () => {
    const half = names(directory).find((name) => name.startsWith(".tmp-"));
    try {
      return half !== undefined && names(join(directory, half)).length >= count;
    } catch {
      return false; // it was renamed in between
    }
  };
  while (!ended && !isThere()) await new Promise((resolve) => setTimeout(resolve, 0));
  if (!ended) child.kill("SIGKILL");
  await end;
  await child.stdout.cancel();
  return names(directory).some((name) => name.startsWith(".tmp-"));
}

for (const step of [1, 2]) {
  const what = step === 1 ? "of the same step" : "of the next step";
  Deno.test(`a save ${what} that is killed at any file leaves the older checkpoint good and no half one`, () =>
    withRun(async (directory) => {
      await saveCheckpoint(directory, small(1));
      let halfways = 0;
      for (const count of [0, 1, 2, 3, 4, 5]) {
        if (await killAt(startSave(directory, step), directory, count)) halfways++;
        const { checkpoint, rejected } = await latestCheckpoint(directory);
        assertEquals(rejected, []);
        assert(checkpoint && [1, step].includes(checkpoint.trainer.step));
      }
      assert(halfways >= 3, `only ${halfways} of 6 saves were killed halfway: the test shows too little`);
      await saveCheckpoint(directory, small(3));
      assertEquals(names(directory).filter((name) => !/^step-\d{6}$/.test(name)), []);
    }));
}

Deno.test("a save that runs into a full disk says so in one line and leaves what was there", () =>
  withRun(async (directory) => {
    for (const step of [1, 2]) {
      await saveCheckpoint(directory, small(1));
      // A limit on the size of files stands for a full disk: writes past 4 MB fail.
      const child = startSave(directory, step, "ulimit -f 8192; trap '' XFSZ;");
      const { code, stdout } = await child.output();
      const message = new TextDecoder().decode(stdout).trim();
      assertEquals([code, message.includes("\n")], [3, false], message);
      assert(/^CheckpointError checkpoint .*step-00000\d: could not be written \(/.test(message), message);
      assertEquals(names(directory), ["step-000001"]);
      assertEquals((await openCheckpoint(join(directory, "step-000001"))).config, SMALL);
    }
  }));

Deno.test("a large checkpoint replaces one of the same step whole", () =>
  withRun(async (directory) => {
    await saveCheckpoint(directory, small(1));
    const path = await saveCheckpoint(directory, large(1));
    assertEquals(names(directory), ["step-000001"]);
    const tensors = await readTensors(await openCheckpoint(path), "model.safetensors");
    for (const { name, data } of large(1).parameters) assertEquals(tensors.get(name)?.at(-1), data.at(-1));
  }));
