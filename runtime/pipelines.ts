/**
 * Pipelines and layouts, shared by all programs of a device. Layouts are explicit, made from what a kernel binds, so that
 * bind groups fit every kernel that binds the same kinds; pipelines are known by their whole text.
 *
 * @module
 */
import type { KernelSource } from "../compiler/program.ts";
import { GpuError, oneLine } from "./errors.ts";

const BUFFER_TYPES = { read: "read-only-storage", read_write: "storage", uniform: "uniform" } as const;

/** The two layouts of a kernel. */
export interface KernelLayout {
  /** Of its one bind group. */
  readonly group: GPUBindGroupLayout;
  /** Of its pipeline. */
  readonly pipeline: GPUPipelineLayout;
}

/** Pipelines of one device by their text. */
export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #layouts = new Map<string, KernelLayout>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  /** Empty, for the device that all pipelines will be made on. */
  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  /** Number of different pipelines. */
  get size(): number {
    return this.#pipelines.size;
  }

  /** The layouts for a list of bindings. */
  layout(bindings: KernelSource["bindings"]): KernelLayout {
    const label = bindings.join(" ");
    const known = this.#layouts.get(label);
    if (known) return known;
    const entries = bindings.map((kind, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: BUFFER_TYPES[kind] },
    }));
    const group = this.#gpu.createBindGroupLayout({ label, entries });
    const layout = { group, pipeline: this.#gpu.createPipelineLayout({ label, bindGroupLayouts: [group] }) };
    this.#layouts.set(label, layout);
    return layout;
  }

  /**
   * The pipeline of a kernel, made at the first call.
   *
   * @param program Name of the program, for errors.
   * @throws {GpuError} when the text is refused, with the kernel's name and the line.
   */
  get(kernel: KernelSource, program: string): Promise<GPUComputePipeline> {
    const key = `${kernel.bindings.join(" ")}\n${kernel.wgsl}`;
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      pipeline = this.#create(kernel, program);
      this.#pipelines.set(key, pipeline);
      pipeline.catch(() => this.#pipelines.delete(key));
    }
    return pipeline;
  }

  async #create({ name, wgsl, bindings }: KernelSource, program: string): Promise<GPUComputePipeline> {
    // A pipeline layout of its own, not the shared one: when two pipelines share it, wgpu goes on checking the second one's
    // bindings against the sizes that the first one's text asks for.
    const bindGroupLayouts = [this.layout(bindings).group];
    const layout = this.#gpu.createPipelineLayout({ label: name, bindGroupLayouts });
    this.#gpu.pushErrorScope("validation");
    const module = this.#gpu.createShaderModule({ label: name, code: wgsl });
    const refusedText = await this.#gpu.popErrorScope();
    if (refusedText) {
      throw new GpuError("validation", await explain(module, wgsl, refusedText), { program, kernel: name });
    }
    this.#gpu.pushErrorScope("validation");
    const pipeline = this.#gpu.createComputePipeline({
      label: name,
      layout,
      compute: { module, entryPoint: name },
    });
    const refused = await this.#gpu.popErrorScope();
    if (refused) throw new GpuError("validation", oneLine(refused.message), { program, kernel: name });
    return pipeline;
  }
}

/** The first error of a module with its line: `WGSL line 2: no definition for identifier `foo`: let x = foo;`. */
async function explain(module: GPUShaderModule, wgsl: string, refused: GPUError): Promise<string> {
  const { messages } = await module.getCompilationInfo();
  const first = messages.find(({ type }) => type === "error");
  if (!first || first.lineNum === 0) return oneLine(refused.message);
  // naga's message goes on with a drawing of the source around the place; the line itself says the same.
  const reason = oneLine(first.message.trim().split("\n")[0]);
  return `WGSL line ${first.lineNum}: ${reason}: ${wgsl.split("\n")[first.lineNum - 1].trim()}`;
}
