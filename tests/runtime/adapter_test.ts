import { assertEquals, assertMatch } from "@std/assert";

/** What the README's tasks grant. */
const PERMISSIONS = [
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-run=deno",
  "--allow-ffi=.cache",
];
/** A machine without a Vulkan driver. */
const NO_DRIVER = {
  DENO_WEBGPU_BACKEND: "vulkan",
  VK_DRIVER_FILES: "/nonexistent",
  VK_ICD_FILENAMES: "/nonexistent",
  SINTER_VULKAN_LOADER: "",
};
const ON_LINUX = Deno.build.os === "linux" && Deno.build.arch === "x86_64";

async function runScript(code: string, env: Record<string, string>, permissions = PERMISSIONS) {
  const folder = await Deno.makeTempDir();
  try {
    const script = `${folder}/script.ts`;
    const mod = new URL("../../runtime/", import.meta.url);
    await Deno.writeTextFile(script, code.replaceAll("runtime/", mod.href));
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const { code: exit, stdout, stderr } = await new Deno.Command("deno", {
      args: ["run", "--config", config, "--no-check", ...permissions, script],
      env: { ...NO_DRIVER, ...env, NO_COLOR: "1" },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { exit, stdout: text(stdout), stderr: text(stderr) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const PRINT_ERROR =
  `.then(() => console.log("no error"), (error) => console.log(error.name + ": " + error.message));`;

Deno.test({
  name: "without a driver a device is refused with what to install, in one line",
  ignore: !ON_LINUX,
  async fn() {
    const code = `import { openDevice } from "runtime/mod.ts"; await openDevice()${PRINT_ERROR}`;
    const { stdout, stderr } = await runScript(code, {});
    assertMatch(stdout, /^DeviceError: no WebGPU adapter was found; install .*mesa-vulkan-drivers[^\n]*\n$/);
    assertEquals(stderr, "");
  },
});

Deno.test({
  name: "without a driver a software adapter is brought, and says so",
  ignore: !ON_LINUX,
  async fn() {
    const code = `
      import { ensureAdapter, openDevice } from "runtime/mod.ts";
      await ensureAdapter();
      const device = await openDevice();
      console.log(device.describe());
      device.destroy();`;
    const { exit, stdout, stderr } = await runScript(code, { LD_LIBRARY_PATH: "/nonexistent" });
    assertEquals(
      [exit, stdout.includes("SwiftShader"), stdout.includes("SOFTWARE")],
      [0, true, true],
      stderr,
    );
    assertMatch(stderr, /apt-get install mesa-vulkan-drivers/);
  },
});

Deno.test({
  name: "where the software adapter cannot be fetched either, one line says what to install",
  ignore: !ON_LINUX,
  async fn() {
    const folder = await Deno.makeTempDir();
    const code = `
      import { installSwiftShader } from "runtime/swiftshader.ts";
      await installSwiftShader(() => {}, Deno.env.get("EMPTY_CACHE") + "/cache")${PRINT_ERROR}
      console.log(Array.from(Deno.readDirSync(Deno.env.get("EMPTY_CACHE") + "/cache")).length);`;
    // Nothing listens on port 9 of this machine; modules that are fetched already lie in DENO_DIR's other folders.
    const offline = { NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/", EMPTY_CACHE: folder };
    const { stdout } = await runScript(code, offline);
    await Deno.remove(folder, { recursive: true });
    assertMatch(
      stdout,
      /^DeviceError: no Vulkan driver was found and SwiftShader could not be fetched \([^\n]*\)/,
    );
    assertMatch(stdout, /install a Vulkan driver[^\n]*\n0\n$/);
  },
});
