/**
 * Following parts of a program: a wrong answer here would send somebody to the wrong kernel.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { compileStages, LAVAPIPE, type Mode, reportOf, trace } from "../../../compiler/mod.ts";
import { InputError } from "../../../model/errors.ts";
import { diffReports, diffText, readReport } from "../../../model/inspect/diff.ts";
import { viewKernel, viewNode, viewSource } from "../../../model/inspect/explore.ts";
import { kernelViewText, nodeText, paintFor, sourceText } from "../../../model/inspect/explore_text.ts";
import { recordRewrites, rewritesText } from "../../../model/inspect/rewrites.ts";
import { tinyTrainStep } from "../../support/tiny_gpt2.ts";
import { withFolder } from "../command.ts";

const compiled = (mode: Mode = "fused") => compileStages(tinyTrainStep(1), LAVAPIPE, { mode, name: mode });
const fused = compiled();
const plain = paintFor(false);

Deno.test("every node leads to the kernels that compute it, and each of those lists it or what reads it", () => {
  const { graph } = fused.fusion;
  for (const { id } of graph.nodes) {
    const { node, computedBy, computedIn, inputs, readers } = viewNode(fused, `%${id}`);
    assertEquals(node.id, id);
    assertEquals(inputs.map((each) => each.id), [...graph.nodes[id].inputs]);
    for (const reader of readers) assert(graph.nodes[reader.id].inputs.includes(id));
    if (!computedBy || computedBy.kernel < 0) continue;
    assertEquals(computedIn, []);
    const { launches } = viewKernel(fused, `${computedBy.kernel}`);
    const launch = launches.find(({ position }) => position === computedBy.position);
    assert(launch?.nodes.some((each) => each.id === id), `%${id} is not in kernel ${computedBy.name}`);
  }
});

Deno.test("what a kernel stores is stored, and it says why it begins and ends", () => {
  const product = fused.program.kernels.findIndex(({ name }) => name.startsWith("matmul"));
  const view = viewKernel(fused, `${product}`);
  const [{ nodes, begins, ends, reads, writes }] = view.launches;
  assert(nodes.some(({ isStored }) => isStored));
  assert(reads.length > 0 && writes.length > 0);
  assert([...begins, ...ends].some((reason) => reason.includes("matmul boundary")), begins.join("\n"));
  const text = kernelViewText(view, plain);
  for (const part of [view.name, "begins here because", "Kernel IR", "@compute"]) {
    assertStringIncludes(text, part);
  }
});

Deno.test("a line of the model leads to its nodes in both passes and to kernels, by the end of its path", async () => {
  const site = fused.graph.nodes.find(({ op }) => op === "matmul")!.origin.site!;
  const view = await viewSource(fused, site.split("/").at(-1)!);
  assertEquals(view.site, site);
  assertStringIncludes(view.text!, "matmul(weight)");
  const phases = new Set(view.traced.map(({ phase }) => phase));
  assertEquals(phases, new Set(["forward", "backward"]));
  for (const { id } of view.nodes) assertEquals(fused.fusion.graph.nodes[id].origin.site, site);
  assert(view.kernels.length > 0);
  assertStringIncludes(sourceText(view, plain), `in ${view.kernels.length} kernels`);
});

Deno.test("parts that are not there are refused with parts that are", async () => {
  assertThrows(() => viewNode(fused, "99999"), InputError, "give a number from 0 to");
  assertThrows(() => viewNode(fused, "%x"), InputError, "--node %x");
  assertThrows(() => viewKernel(fused, "nothing"), InputError, "no kernel has that name");
  await assertRejects(() => viewSource(fused, "gpt2.ts:1"), InputError, "near it: ");
});

Deno.test("text for people has no colours unless it is for a terminal", () => {
  const view = viewNode(fused, "20");
  // deno-lint-ignore no-control-regex
  assertEquals(/\x1b/.test(nodeText(view, plain)), false);
});

Deno.test("fused against eager: fewer kernels, launches and bytes; a program against itself: no difference", async () => {
  const [eager, now] = [reportOf(compiled("eager")), reportOf(fused)];
  const difference = diffReports(eager, now);
  for (const name of ["launches", "bytes"]) {
    const [before, after] = difference.totals[name];
    assert(after < before, name);
  }
  const launches = (index: 0 | 1) => difference.kernels.reduce((sum, each) => sum + each.launches[index], 0);
  const [before, after] = difference.totals.launches;
  // Kernels that both have as often are not listed.
  assertEquals(launches(0) - launches(1), before - after);
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/dump.json`, JSON.stringify(now));
    const same = diffReports(await readReport(`${folder}/dump.json`), now);
    assertEquals(same.kernels, []);
    assertStringIncludes(diffText(same), "no difference");
    await Deno.writeTextFile(`${folder}/other.json`, "{}");
    await assertRejects(() => readReport(`${folder}/other.json`), InputError, "no dump of a program");
  });
});

Deno.test("every rewrite is there with its rule, its node before and what it became", () => {
  const graph = trace(({ x }) => ({ y: x.transpose().transpose().add(0), z: x.mul(1).exp() }), {
    x: { shape: [2, 3], dtype: "f32", role: "batch" },
  });
  const found = recordRewrites(graph, LAVAPIPE);
  const rules = found.counts.map(([rule]) => rule);
  for (const rule of ["multiply-by-one"]) assert(rules.includes(rule), rules.join());
  assertEquals(found.counts.reduce((sum, [, count]) => sum + count, 0), found.rewrites.length);
  const [before, after] = found.nodes;
  assert(after < before);
  const one = found.rewrites.find(({ rule }) => rule === "multiply-by-one")!;
  assertStringIncludes(one.before, "mul");
  assertStringIncludes(one.after!, "input");
  assertStringIncludes(rewritesText(found, { step: one.step }), "multiply-by-one");
  assertThrows(() => rewritesText(found, { step: 999 }), InputError, "--step 999");
  assertThrows(() => rewritesText(found, { rule: "none" }), InputError, "applied were");
});
