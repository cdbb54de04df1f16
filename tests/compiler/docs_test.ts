/**
 * The examples in JSDoc: all are type-checked, and all run but those that say why not. `deno test --doc` imports every
 * name of a module into its examples, which `noUnusedLocals` refuses: so they are checked under the repository's
 * configuration without that option, and run, unchecked, under the repository's own.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const root = fromFileUrl(new URL("../..", import.meta.url));
const FOLDERS = ["compiler", "runtime", "data", "model", "server"];
/** Workspaces for the browser, and the examples that are programs of their own. */
const OTHERS = ["server/pages/browser", "model/watch/page", "compiler/examples"];
const EXAMPLE = /^ *\* ```ts( ignore)?$/gm;
const files = FOLDERS.flatMap((folder) => modulesIn(folder));

Deno.test("the examples in JSDoc are not of the types that they are checked with", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const config = join(folder, "deno.json");
    await Deno.writeTextFile(config, JSON.stringify(await looserConfig()));
    const args = ["--no-run", "--no-lock", "--node-modules-dir=none", "--config", config];
    await testExamples(args);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an example in JSDoc fails when it is run", () =>
  testExamples(["--no-check", "--parallel", "--allow-all"]));

Deno.test("an example in JSDoc is left out of the tests without a reason", () => {
  for (const [file, text] of files) {
    for (const match of text.matchAll(EXAMPLE)) {
      const above = text.slice(0, match.index).trimEnd().split("\n").pop()!;
      if (match[1]) assert(/@example Not run in tests, since /.test(above), `${file}: ${above.trim()}`);
    }
  }
});

Deno.test("a principal name of the compiler has no example", async () => {
  const names =
    "attention compile compileGraph compileStages concat constant decompose evaluate explain grad " +
    "GraphBuilder hashGraph iota parseGraph printGraph probeFinite randomNormal reportOf scope simplify Tensor trace " +
    "verifyGraph where";
  const { stdout } = await deno(["doc", "--json", "compiler/mod.ts"]);
  const found = new Set<string>();
  for (const { symbols } of Object.values(JSON.parse(stdout).nodes) as { symbols: DocSymbol[] }[]) {
    for (const { name, declarations } of symbols) {
      const tags = declarations.flatMap(({ jsDoc }) => jsDoc?.tags ?? []);
      if (tags.some(({ kind }) => kind === "example")) found.add(name);
    }
  }
  assertEquals(names.split(" ").filter((name) => !found.has(name)), []);
});

interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
  }[];
}

/** Path and text of every module below a folder that has examples. */
function modulesIn(folder: string): [string, string][] {
  if (OTHERS.includes(folder)) return [];
  return Array.from(Deno.readDirSync(join(root, folder))).flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return modulesIn(path);
    if (!name.endsWith(".ts")) return [];
    const text = Deno.readTextFileSync(join(root, path));
    return text.search(EXAMPLE) < 0 ? [] : [[path, text]];
  });
}

/** deno.json as far as checking needs it, with the package's own name spelt out. */
async function looserConfig() {
  const { name, exports, imports, unstable, compilerOptions } = JSON.parse(
    await Deno.readTextFile(join(root, "deno.json")),
  );
  const own = Object.entries(exports as Record<string, string>).map(([key, path]) =>
    [name + key.slice(1), new URL(path, new URL("../../", import.meta.url)).href] as const
  );
  return {
    imports: { ...imports, ...Object.fromEntries(own) },
    unstable,
    compilerOptions: { ...compilerOptions, noUnusedLocals: false },
  };
}

async function testExamples(args: readonly string[]): Promise<void> {
  const { success, code, signal, stdout, stderr } = await deno([
    "test",
    "--doc",
    "--no-prompt",
    ...args,
    ...files.map(([path]) => path),
  ]);
  // A driver that is taken down while the process exits may crash it (seen with lavapipe): by then all has been said.
  const hasPassed = success || /^ok \| \d+ passed \| 0 failed/m.test(stdout);
  assert(hasPassed, `${code} ${signal}\n${stderr}\n${stdout}`);
}

async function deno(args: readonly string[]) {
  const env = { NO_COLOR: "1" };
  const { success, code, signal, stdout, stderr } = await new Deno.Command("deno", {
    args: [...args],
    cwd: root,
    env,
  })
    .output();
  const decoder = new TextDecoder();
  return { success, code, signal, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
