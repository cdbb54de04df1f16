/**
 * `deno task inspect` as a user calls it, on a file of their own.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ROOT, run, withFolder } from "../command.ts";

const MODEL = (root: string) => `
import { grad, trace } from "${root}compiler/mod.ts";
const specs = { x: { shape: [8, 16], dtype: "f32", role: "batch" }, w: { shape: [16, 4], dtype: "f32", role: "state" } } as const;
export const step = () => trace(({ x, w }) => {
  const loss = x.matmul(w).tanh().sum();
  return { loss, g: grad(loss, [w])[0] };
}, specs);
export const bad = () => trace(({ x, w }) => ({ y: w.matmul(x) }), specs);
export const nothing = 5;
`;

Deno.test("a user's own file goes through every way of looking", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/model.ts`;
    await Deno.writeTextFile(file, MODEL(ROOT));
    const inspect = (...args: string[]) => run("inspect", [`--file=${file}`, "--target=lavapipe", ...args]);
    const step = "--export=step";
    const seen = [
      [await inspect(step, "--stage=simplified"), /return loss=%\d+, g=%\d+/],
      [await inspect(step, "--source=model.ts:5"), /x\.matmul\(w\)\.tanh\(\)\.sum\(\)[\s\S]*in 3 kernels/],
      [await inspect(step, "--diff=eager"), /step, eager -> step, fused/],
      [await inspect(step, "--rewrites"), /rewrites/],
    ] as const;
    for (const [{ code, stdout, stderr }, pattern] of seen) {
      assertEquals(code, 0, stderr);
      assertMatch(stdout, pattern);
    }
    const { stdout } = await inspect(step, "--node=2", "--json");
    assertEquals(JSON.parse(stdout).node.id, 2);
  });
});

Deno.test("files and parts that are not there are one line, exit code 2 and what to do", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/model.ts`;
    await Deno.writeTextFile(file, MODEL(ROOT));
    await Deno.writeTextFile(`${folder}/broken.ts`, "export const = 5;");
    const own = [`--file=${file}`, "--target=lavapipe"];
    const refusals: [args: string[], message: RegExp][] = [
      [
        [...own, "--export=bad"],
        /it fails \(matmul: cannot multiply \[16,4\] by \[8,16\] \(at .*model\.ts:8/,
      ],
      [[...own, "--export=nothing"], /it is no graph/],
      [own, /no such export; it exports bad, nothing, step/],
      [[...own, "--export=step", "--layers=2"], /--layers: a file has sizes of its own/],
      [[`--file=${folder}/none.ts`], /there is no such file/],
      [[`--file=${folder}/broken.ts`], /it does not load/],
      [["--export=step"], /no file is named/],
      [["--target=lavapipe", "--node=1", "--kernel=2"], /--kernel: given with --node/],
      [["--step=2"], /add --rewrites/],
      [["--target=lavapipe", "--check"], /kernels run on an adapter/],
    ];
    for (const [args, message] of refusals) {
      const { code, stderr } = await run("inspect", args);
      assertEquals(code, 2, `${args}: ${stderr}`);
      assertMatch(stderr, message);
      assert(stderr.trim().split("\n").length === 1, stderr);
    }
  });
});
