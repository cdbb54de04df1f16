/**
 * SwiftShader, a Vulkan driver that runs on the processor, together with a Vulkan loader: 7 MB inside an npm package
 * that carries a whole browser. The package is fetched only by a machine that has no driver, by a Deno of its own, so
 * that neither deno.lock nor node_modules know of it.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { encodeHex } from "@std/encoding";
import { DeviceError } from "./errors.ts";

const PACKAGE = "npm:@sparticuz/chromium@153.0.0";
const FOLDER = "swiftshader-153.0.0";
/** The files that are kept, and their SHA-256. */
const FILES = {
  "libvk_swiftshader.so": "2f3ceffaaca7d031bc3943f8eacf398a5d9c42c5fe0d15d8840b9acfa630b58e",
  "libvulkan.so.1": "8ee5ac00fd7968e863b05e0f6808057db16a00ad322777e5a05bed51d4f84085",
  "vk_swiftshader_icd.json": "c9eef28b6b984fec220ef0abfecc40b502d46946706e47bfe97707027cb818bd",
} as const;

/** The one architecture, as `Deno.build.arch` spells it, that the package is built for. */
export const SWIFTSHADER_ARCHITECTURE = "x86_64";

/** Absolute paths of an unpacked SwiftShader. */
export interface SwiftShaderPaths {
  /** `libvulkan.so.1`. */
  readonly loader: string;
  /** The driver's JSON manifest, for VK_ICD_FILENAMES. */
  readonly driver: string;
}

/**
 * Unpacks SwiftShader into a cache folder, unless it is there.
 *
 * @param fetching Is called when there is something to fetch.
 * @param cache Folder for files that can be fetched again; `.cache` beside this repository's parts by default.
 * @throws {DeviceError} when the package cannot be fetched or its files are not the expected ones.
 */
export async function installSwiftShader(
  fetching: () => void,
  cache: string = fromFileUrl(new URL("../.cache", import.meta.url)),
): Promise<SwiftShaderPaths> {
  const folder = join(cache, FOLDER);
  const paths = { loader: join(folder, "libvulkan.so.1"), driver: join(folder, "vk_swiftshader_icd.json") };
  if (await exists(paths.driver)) return paths;
  fetching();
  await Deno.mkdir(cache, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: cache, prefix: `${FOLDER}.` });
  try {
    await unpackInto(temporary);
    for (const [name, expected] of Object.entries(FILES)) await verify(join(temporary, name), expected);
    for await (const { name } of Deno.readDir(temporary)) {
      if (!(name in FILES)) await Deno.remove(join(temporary, name), { recursive: true });
    }
    await Deno.rename(temporary, folder);
  } catch (problem) {
    await Deno.remove(temporary, { recursive: true });
    // Another process may have been faster: its folder is as good.
    if (!await exists(paths.driver)) throw problem;
  }
  return paths;
}

async function unpackInto(folder: string): Promise<void> {
  const script = fromFileUrl(new URL("./swiftshader_unpack.ts", import.meta.url));
  const flags = ["--no-config", "--no-lock", "--node-modules-dir=none", "--no-prompt"];
  const permissions = ["--allow-env", "--allow-read", "--allow-sys", `--allow-write=${folder}`];
  const { success, stderr } = await new Deno.Command("deno", {
    args: ["run", ...flags, ...permissions, script, PACKAGE],
    clearEnv: true,
    env: { ...childEnvironment(), TMPDIR: folder, NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output().catch((problem: Error) => ({
    success: false,
    stderr: new TextEncoder().encode(problem.message),
  }));
  if (success) return;
  const lines = new TextDecoder().decode(stderr).split("\n").filter((line) =>
    line && !line.startsWith("Download")
  );
  throw new DeviceError(
    `no Vulkan driver was found and SwiftShader could not be fetched (${
      (lines[0] ?? "no reason given").trim()
    })`,
    "install a Vulkan driver: your GPU's, or `apt-get install mesa-vulkan-drivers` for a software one",
  );
}

/** Without the dynamic linker's variables: Deno refuses to hand them on unless a process may run everything. */
function childEnvironment(): Record<string, string> {
  const entries = Object.entries(Deno.env.toObject());
  return Object.fromEntries(entries.filter(([name]) => !/^(LD_|DYLD_)/.test(name)));
}

async function verify(path: string, expected: string): Promise<void> {
  const digest = encodeHex(await crypto.subtle.digest("SHA-256", await Deno.readFile(path)));
  if (digest === expected) return;
  throw new DeviceError(
    `${path} of ${PACKAGE} has SHA-256 ${digest}, expected ${expected}`,
    "try again, or install a Vulkan driver",
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return false;
    throw problem;
  }
}
