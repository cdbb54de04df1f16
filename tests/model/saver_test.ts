/**
 * Checkpoints that a Worker writes.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CheckpointError, openCheckpoint } from "../../model/checkpoint.ts";
import { type Saved, Saver } from "../../model/saver.ts";
import { large, small } from "./checkpoints.ts";
import { withFolder } from "./command.ts";

Deno.test("checkpoints are whole when the saver says so, and are written one after the other", async () => {
  await withFolder(async (folder) => {
    const saved: Saved[] = [];
    const saver = new Saver((each) => saved.push(each));
    try {
      saver.save(folder, large(1));
      await saver.settled();
      saver.save(folder, small(2));
      await saver.settled();
    } finally {
      await saver.close();
    }
    assertEquals(saved.map(({ step }) => step), [1, 2]);
    for (const { path, step, start, end } of saved) {
      assertEquals((await openCheckpoint(path)).trainer.step, step);
      assert(end > start);
    }
  });
});

Deno.test("a checkpoint that cannot be written is told with its reason, at once and at the end", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    const saver = new Saver(() => {});
    try {
      saver.save(`${folder}/file/run`, small(3));
      await assertRejects(() => saver.settled(), CheckpointError, "step-000003: could not be written");
      assertThrows(() => saver.check(), CheckpointError);
    } finally {
      await saver.close();
    }
  });
});
