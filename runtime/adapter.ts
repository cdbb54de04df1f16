/**
 * Makes sure that there is a WebGPU adapter before a command opens a device: on a Linux machine without a Vulkan driver
 * a software one is fetched, without root.
 *
 * @module
 */
import { LOADER_VARIABLE, prepareEnvironment } from "./environment.ts";
import { DeviceError } from "./errors.ts";
import { installSwiftShader, SWIFTSHADER_ARCHITECTURE } from "./swiftshader.ts";
import { getVariable } from "./variables.ts";

/** What to do about a missing adapter, for messages. */
export const DRIVER_REMEDY = Deno.build.os === "linux"
  ? "install a Vulkan driver: your GPU's, or `apt-get install mesa-vulkan-drivers` for a software one"
  : "update the graphics driver";

/**
 * Finds an adapter or fetches one. A command calls it first of all, before it starts the Worker that opens the device;
 * the ordinary case costs some 50 ms. Needs the permissions env and read; where a software adapter has to be fetched also
 * write and ffi for the folder `.cache`, and run for `deno`.
 *
 * @param notify Is told, in one line, that a software adapter was taken; writes to standard error by default.
 * @throws {DeviceError} when no adapter can be had, with what to install.
 */
export async function ensureAdapter(notify: (line: string) => void = console.error): Promise<void> {
  prepareEnvironment();
  if (await probe()) return;
  if (getVariable(LOADER_VARIABLE)) {
    throw new DeviceError(`no WebGPU adapter was found, not even through ${LOADER_VARIABLE}`, DRIVER_REMEDY);
  }
  if (Deno.build.os !== "linux" || Deno.build.arch !== SWIFTSHADER_ARCHITECTURE) {
    throw new DeviceError("no WebGPU adapter was found", DRIVER_REMEDY);
  }
  const { loader, driver } = await installSwiftShader(() =>
    notify("no Vulkan driver was found: fetching SwiftShader, a software adapter (70 MB, once)")
  );
  // Both names of the list of drivers: loaders before 1.3.207 know the first one only.
  Deno.env.set("VK_ICD_FILENAMES", driver);
  Deno.env.set("VK_DRIVER_FILES", driver);
  Deno.env.set("DENO_WEBGPU_BACKEND", "vulkan");
  Deno.env.set(LOADER_VARIABLE, loader);
  prepareEnvironment();
  if (!await probe()) throw new DeviceError("SwiftShader was fetched but gives no adapter", DRIVER_REMEDY);
  notify(
    "no Vulkan driver: running on SwiftShader. `apt-get install mesa-vulkan-drivers` is about 10 times as fast",
  );
}

function probe(): Promise<boolean> {
  const worker = new Worker(new URL("./adapter_probe.ts", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<boolean>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new DeviceError(`asking for a WebGPU adapter failed (${event.message})`, DRIVER_REMEDY));
    };
  });
}
