/**
 * Environment that the Vulkan loader and Deno's WebGPU read when an isolate first asks for an adapter. All of it can be
 * set from inside the process, so nobody has to start a command in a special way.
 *
 * @module
 */

import { getVariable, setDefault } from "./variables.ts";
import { preferWideVectors } from "./vector_width.ts";

/** Path of a Vulkan loader to use where the system has none; {@link prepareEnvironment} loads it. */
export const LOADER_VARIABLE = "SINTER_VULKAN_LOADER";

/**
 * Prepares this process for its first `requestAdapter()`. Only what the user has not set is touched, and on Linux only:
 * Metal and D3D12 need nothing.
 *
 * - Deno falls back to OpenGL when Vulkan gives no adapter: 16 storage buffers, no f16. Vulkan is asked for by name.
 * - Drivers print an error when XDG_RUNTIME_DIR is not set, though a compute program has no display to look for.
 * - lavapipe is asked for the processor's widest vectors.
 */
export function prepareEnvironment(): void {
  if (Deno.build.os !== "linux") return;
  setDefault("DENO_WEBGPU_BACKEND", "vulkan");
  setDefault("XDG_RUNTIME_DIR", "/tmp");
  preferWideVectors();
  const loader = getVariable(LOADER_VARIABLE);
  if (loader) loadVulkan(loader);
}

/**
 * Loads a Vulkan loader from a path. LD_LIBRARY_PATH is read only when a process starts, but a library that is loaded
 * already answers to its soname: Deno's later search for `libvulkan.so.1` finds this one.
 */
export function loadVulkan(path: string): void {
  Deno.dlopen(path, {});
}
