/** Reports of programs: written whole, listed, handed out. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { compileStages, LAVAPIPE } from "../../../compiler/mod.ts";
import { listReports, ProgramReports } from "../../../model/program_reports.ts";
import { createApp } from "../../../server/mod.ts";
import { ProgramFiles } from "../../../server/programs/service.ts";
import { fakeServices } from "../fakes.ts";
import { errorOf } from "../support.ts";
import { tinyTrainStep } from "../../support/tiny_gpt2.ts";

const compilation = compileStages(tinyTrainStep(1), LAVAPIPE, { name: "step" });
const { program } = compilation;

async function withReports(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "sinter-" });
  try {
    const reports = new ProgramReports(join(directory, "programs"), "first");
    reports.add(compilation);
    await reports.settled();
    await body(join(directory, "programs"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const appOver = (directory: string) =>
  createApp({ ...fakeServices(), programs: new ProgramFiles(directory) });

Deno.test("a program is listed with everyone who uses it, and written once", async () => {
  await withReports(async (directory) => {
    const second = new ProgramReports(directory, "second");
    second.add(compilation);
    await second.settled();
    const [summary, ...others] = await listReports(directory);
    assertEquals(others, []);
    assertEquals([summary.hash, summary.usedBy], [program.hash, ["first", "second"]]);
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
    assertEquals(names.filter((name) => name.startsWith(".")), [], "something was left half-written");
  });
});

Deno.test("a report goes out compressed to those who accept it and plain to the others, once for each tag", async () => {
  await withReports(async (directory) => {
    const app = appOver(directory);
    const path = `/v1/programs/${program.hash}`;
    const plain = await app.request(path);
    assertEquals(plain.headers.get("Content-Encoding"), null);
    const report = await plain.json();
    assertEquals([report.hash, report.dispatches.length], [program.hash, program.dispatches.length]);
    const packed = await app.request(path, { headers: { "Accept-Encoding": "br, gzip" } });
    assertEquals(packed.headers.get("Content-Encoding"), "gzip");
    const unpacked = packed.body!.pipeThrough(new DecompressionStream("gzip"));
    assertEquals(await new Response(unpacked).json(), report);
    const tag = packed.headers.get("ETag")!;
    for (const known of [tag, `"other", ${tag}`, "*"]) {
      assertEquals((await app.request(path, { headers: { "If-None-Match": known } })).status, 304, known);
    }
    assertEquals((await app.request(path, { headers: { "If-None-Match": '"other"' } })).status, 200);
    for (const refusing of ["gzip;q=0", "br", "identity"]) {
      const answer = await app.request(path, { headers: { "Accept-Encoding": refusing } });
      assertEquals(answer.headers.get("Content-Encoding"), null, refusing);
      assertEquals(await answer.json(), report);
    }
  });
});

Deno.test("what a thread that died has left is removed, and a report that was lost is written again", async () => {
  await withReports(async (directory) => {
    const hour = 3600;
    const age = async (name: string, seconds: number) => {
      await Deno.writeTextFile(join(directory, name), "half");
      const then = Date.now() / 1000 - seconds;
      await Deno.utime(join(directory, name), then, then);
    };
    await age(".tmp-0123456789abcdef.json.gz-1", 2 * hour);
    await age("0123456789abcdef.json.gz", 2 * hour);
    await age(".tmp-fedcba9876543210.json.gz-2", 1);
    await Deno.remove(join(directory, `${program.hash}.json.gz`));
    const reports = new ProgramReports(directory, "first");
    reports.add(compilation);
    await reports.settled();
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
    assertEquals(names, [
      ".tmp-fedcba9876543210.json.gz-2",
      `${program.hash}.json.gz`,
      `${program.hash}.summary.json`,
    ]);
    assertEquals((await appOver(directory).request(`/v1/programs/${program.hash}`)).status, 200);
  });
});

Deno.test("the programs that were compiled longest ago go when there are too many", async () => {
  await withReports(async (directory) => {
    const [summary] = await listReports(directory);
    for (let i = 0; i < 205; i++) {
      const hash = (i + 1).toString(16).padStart(16, "0");
      const compiledAt = new Date(Date.UTC(2000, 0, 1) + i * 1000).toISOString();
      await Deno.writeTextFile(
        join(directory, `${hash}.summary.json`),
        JSON.stringify({ ...summary, hash, compiledAt }),
      );
      await Deno.writeTextFile(join(directory, `${hash}.json.gz`), "a report");
    }
    const reports = new ProgramReports(directory, "second");
    reports.add(compilation);
    await reports.settled();
    const kept = (await listReports(directory)).map(({ hash }) => hash);
    assertEquals([kept.length, kept[0]], [200, program.hash]);
    assertEquals(kept.at(-1), (7).toString(16).padStart(16, "0"));
    assertEquals([...Deno.readDirSync(directory)].length, 400, "a program left one of its files");
  });
});

Deno.test("stages, kernels and their text have addresses of their own", async () => {
  await withReports(async (directory) => {
    const app = appOver(directory);
    const path = `/v1/programs/${program.hash}`;
    assert((await (await app.request(`${path}/stages/groups`)).text()).includes("matmul"));
    const [kernel] = program.kernels;
    const found = await (await app.request(`${path}/kernels/${kernel.name}`)).json();
    assertEquals([found.wgsl, found.ir], [kernel.wgsl, kernel.ir]);
    assertEquals(await (await app.request(`${path}/kernels/${kernel.name}/wgsl`)).text(), kernel.wgsl);
    assert(found.dispatches.length > 0);
  });
});

Deno.test("times become part of a report", async () => {
  await withReports(async (directory) => {
    const reports = new ProgramReports(directory, "first");
    const [kernel] = program.kernels;
    reports.addTimes([program.hash], { [kernel.name]: 1.5 });
    await reports.settled();
    const report = await (await appOver(directory).request(`/v1/programs/${program.hash}`)).json();
    const times = new Set(
      report.dispatches.filter(({ kernel }: { kernel: number }) => kernel === 0).map(
        ({ ms }: { ms: number }) => ms,
      ),
    );
    assertEquals([...times], [1.5]);
  });
});

Deno.test("what is not there is a 404, whatever it is called", async () => {
  await withReports(async (directory) => {
    await Deno.writeTextFile(join(directory, "..", "secret.json.gz"), "secret");
    const app = appOver(directory);
    for (
      const path of [
        "0123456789abcdef",
        "..%2Fsecret",
        "%2e%2e%2fsecret",
        "x".repeat(90),
        `${program.hash}/stages/none`,
        `${program.hash}/stages/__proto__`,
        `${program.hash}/kernels/none`,
        `${program.hash}/kernels/none/wgsl`,
      ]
    ) {
      await errorOf(await app.request(`/v1/programs/${path}`), 404);
    }
  });
});
