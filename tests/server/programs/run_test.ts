/** What a training run leaves for the viewer of programs. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { ProgramReport } from "../../../compiler/mod.ts";
import { listReports } from "../../../model/program_reports.ts";
import { Trainer } from "../../../model/trainer.ts";
import { ensureAdapter } from "../../../runtime/mod.ts";
import { ProgramFiles } from "../../../server/programs/service.ts";

async function reportsIn(directory: string): Promise<ProgramReport[]> {
  const files = new ProgramFiles(directory);
  return await Promise.all(
    (await listReports(directory)).map(async ({ hash }) => {
      const packed = new Blob([(await files.get(hash))!]).stream();
      return await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).json();
    }),
  );
}

Deno.test("a run has reported all its programs when it ends, and only what was measured has times", async () => {
  await ensureAdapter();
  const folder = await Deno.makeTempDir({ prefix: "sinter-" });
  try {
    const kinds: string[] = [];
    const programs = join(folder, "programs");
    await new Trainer(({ kind }) => kinds.push(kind)).run({
      preset: "nano",
      layers: 1,
      width: 64,
      heads: 1,
      context: 64,
      steps: 4,
      evalEvery: 2,
      sampleEvery: 0,
      out: join(folder, "run"),
      profile: join(folder, "profile.json"),
      profileSteps: 2,
      programs,
    });
    assertEquals(kinds.at(-1), "end");
    const reports = await reportsIn(programs);
    assertEquals(reports.map(({ name }) => name).sort(), ["init", "step", "validation"]);
    for (const { name, dispatches } of reports) {
      const measured = dispatches.filter((dispatch) => "ms" in dispatch).length;
      assertEquals(measured, name === "step" ? dispatches.length : 0, name);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
