/**
 * The far side of generation: owns the device, brings models to it when they are asked for, and lets every model's batcher
 * submit in turn. Runs in a Worker, because waiting for the device blocks the thread.
 *
 * A model is a run; its newest checkpoint answers new requests. When a newer one appears, requests that are under way stay
 * with the one that they began with, and it is taken down after the last of them.
 *
 * @module
 */
import { openCheckpoint } from "../../model/checkpoint.ts";
import type { Program } from "../../compiler/mod.ts";
import type { GenerationEvent, GenerationRequest, ModelConfig } from "../../model/mod.ts";
import { DEFAULT_SAMPLING } from "../../model/mod.ts";
import { explainFailure } from "../../model/errors.ts";
import { runPipeline, type Submissions } from "../../model/pipeline.ts";
import { ProgramReports } from "../../model/program_reports.ts";
import { ServedModel } from "../../model/served_model.ts";
import { weightsOf } from "../../model/weights.ts";
import { type GpuDevice, GpuError, GpuTurns, openDevice, TURN_PARTIES } from "../../runtime/mod.ts";
import type { HostCommand, HostEvent, HostLoad, HostOptions } from "./messages.ts";

/** Time between two reports of how busy it is, in milliseconds. */
const REPORT_MS = 100;

/** A request that waits for its model, or is with it. */
interface Pending {
  readonly model: string;
  readonly path: string;
  readonly request: GenerationRequest;
  cancel: () => void;
}

/** A model on the device. */
interface Loaded {
  readonly name: string;
  readonly served: ServedModel;
  submissions?: Submissions;
  lastUsed: number;
}

/** Serves models on one device. */
export class GenerationHost {
  readonly #loaded = new Map<string, Loaded>();
  readonly #pending = new Map<number, Pending>();
  readonly #programs = new Map<string, Map<string, Program>>();
  /** Requests whose model is not on the device yet. */
  #queue: number[] = [];
  #events: (readonly [number, GenerationEvent])[] = [];
  #wake = Promise.withResolvers<void>();
  #isDraining = false;
  #lastReport = 0;
  #gone = { promptTokens: 0, completionTokens: 0 };

  private constructor(
    readonly device: GpuDevice,
    readonly options: HostOptions,
    private readonly post: (event: HostEvent) => void,
  ) {}

  /** Opens the device and begins to serve. What goes wrong becomes a `lost` event. */
  static async open(
    options: HostOptions,
    post: (event: HostEvent) => void,
  ): Promise<GenerationHost | undefined> {
    try {
      const device = await openDevice();
      const host = new GenerationHost(device, options, post);
      post({ kind: "ready", adapter: device.info.description, software: device.info.software });
      host.#serve();
      return host;
    } catch (problem) {
      post({ kind: "lost", message: explainFailure(problem).message });
      return undefined;
    }
  }

  /** Does what the main thread asks. */
  handle(command: Exclude<HostCommand, { kind: "open" }>): void {
    switch (command.kind) {
      case "generate":
        return this.#generate(command);
      case "preload":
        this.#preload(command.model, command.path);
        return;
      case "cancel":
        return this.#cancel(command.id);
      case "drain":
        this.#isDraining = true;
    }
  }

  #generate({ id, model, path, request }: Extract<HostCommand, { kind: "generate" }>): void {
    if (this.#isDraining) {
      this.#send(id, { kind: "failure", code: "shutting_down", message: "the server is going down" });
      return;
    }
    this.#pending.set(id, { model, path, request, cancel: () => {} });
    const loaded = this.#loaded.get(path);
    if (loaded) this.#hand(id, loaded);
    else if (this.#queue.length >= this.options.maxWaiting) {
      const message = `${this.#queue.length} requests wait for a model already: try again later`;
      this.#send(id, { kind: "failure", code: "queue_full", message });
    } else this.#queue.push(id);
    this.#wake.resolve();
  }

  /** Has a model loaded before anybody asks for it. */
  #preload(model: string, path: string): void {
    const id = -this.#pending.size - 1; // nobody listens to negative ids
    const request = { prompt: [0], maxTokens: 0, sampling: DEFAULT_SAMPLING, stop: [], choices: 1 };
    this.#generate({ kind: "generate", id, model, path, request });
  }

  /** Gives a request to its model. */
  #hand(id: number, loaded: Loaded): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    loaded.lastUsed = performance.now();
    const { batcher } = loaded.served;
    pending.cancel = batcher.submit(pending.request, (event) => this.#send(id, event));
  }

  #cancel(id: number): void {
    this.#pending.get(id)?.cancel();
    this.#forget(id);
  }

  #forget(id: number): void {
    this.#pending.delete(id);
    this.#queue = this.#queue.filter((other) => other !== id);
  }

  #send(id: number, event: GenerationEvent): void {
    if (event.kind === "end" || event.kind === "failure") this.#forget(id);
    if (this.#events.length === 0) queueMicrotask(() => this.#flush());
    this.#events.push([id, event]);
  }

  #flush(): void {
    const events = this.#events;
    this.#events = [];
    this.post({ kind: "events", events });
    if (performance.now() - this.#lastReport >= REPORT_MS) this.#report();
  }

  /** Loads what is asked for and runs what is loaded, for ever. */
  async #serve(): Promise<void> {
    const { device, options } = this;
    const turns = options.turns && new GpuTurns(options.turns, TURN_PARTIES.generation);
    const shared = turns && { turns, idle: () => device.idle() };
    try {
      for (;;) {
        await this.#loadQueued();
        if (![...this.#loaded.values()].some(({ served }) => served.batcher.isBusy)) {
          await this.#rest();
          continue;
        }
        await runPipeline(this.#submissions(), { shared });
      }
    } catch (problem) {
      const { message } = explainFailure(problem);
      for (const id of [...this.#pending.keys()]) {
        this.#send(id, { kind: "failure", code: "device_lost", message: "the GPU was lost: try again" });
      }
      this.#flush();
      this.post({ kind: "lost", message });
    }
  }

  /** Waits until there is something to do. */
  async #rest(): Promise<void> {
    this.#report();
    this.#wake = Promise.withResolvers();
    if (this.#queue.length === 0) await Promise.race([this.#wake.promise, this.device.failure]);
    this.device.throwIfFailed();
  }

  /** The submissions of all models in turn, until no model has work left or one has to be loaded. */
  *#submissions(): Submissions {
    for (;;) {
      let isBusy = false;
      for (const loaded of [...this.#loaded.values()]) {
        if (!loaded.submissions && !loaded.served.batcher.isBusy) continue;
        loaded.submissions ??= loaded.served.batcher.submissions();
        loaded.lastUsed = performance.now();
        const { done, value } = loaded.submissions.next();
        if (done) {
          loaded.submissions = undefined;
          continue;
        }
        isBusy = true;
        yield value;
      }
      if (!isBusy || this.#hasLoadable()) return;
    }
  }

  /** True when the next queued model could be brought to the device now. */
  #hasLoadable(): boolean {
    return this.#queue.length > 0 && (this.#hasRoom() || this.#idle() !== undefined);
  }

  #hasRoom(): boolean {
    return this.#loaded.size < this.options.maxModels;
  }

  /** The model that has been idle for the longest time. */
  #idle(): Loaded | undefined {
    return [...this.#loaded.values()]
      .filter(({ served, submissions }) => !submissions && !served.batcher.isBusy)
      .sort((a, b) => a.lastUsed - b.lastUsed)[0];
  }

  /** Brings the models of queued requests to the device, as far as there is room. */
  async #loadQueued(): Promise<void> {
    while (this.#queue.length > 0) {
      const { path, model } = this.#pending.get(this.#queue[0])!;
      let loaded = this.#loaded.get(path);
      if (!loaded) {
        this.#takeDownOld(model, path);
        if (!this.#hasRoom()) {
          const idle = this.#idle();
          if (!idle) return;
          this.#takeDown(idle);
        }
        loaded = await this.#load(model, path);
      }
      const ids = this.#queue.filter((id) => this.#pending.get(id)?.path === path);
      this.#queue = this.#queue.filter((id) => !ids.includes(id));
      for (const id of loaded ? ids : []) this.#hand(id, loaded!);
    }
  }

  /** Programs of a model's sizes: newer checkpoints of a run need no new ones. */
  #programsOf(config: ModelConfig): Map<string, Program> {
    const key = JSON.stringify(config);
    const known = this.#programs.get(key) ?? new Map<string, Program>();
    this.#programs.set(key, known);
    return known;
  }

  async #load(name: string, path: string): Promise<Loaded | undefined> {
    try {
      const checkpoint = await openCheckpoint(path);
      const { programs } = this.options;
      const reports = programs === undefined ? undefined : new ProgramReports(programs, `model ${name}`);
      const served = await ServedModel.open(this.device, weightsOf(checkpoint), {
        ...this.options,
        loadsAll: true,
        compiled: this.#programsOf(checkpoint.config),
        onCompiled: (compilation) => reports?.add(compilation),
      });
      const loaded = { name, served, lastUsed: performance.now() };
      this.#loaded.set(path, loaded);
      return loaded;
    } catch (problem) {
      if (problem instanceof GpuError && problem.kind === "lost") throw problem;
      const { message } = explainFailure(problem);
      for (const [id, pending] of [...this.#pending]) {
        if (pending.path !== path) continue;
        this.#send(id, { kind: "failure", code: "unknown_model", message: `model ${name}: ${message}` });
      }
      return undefined;
    }
  }

  /** Older checkpoints of a model that nobody uses any more. */
  #takeDownOld(name: string, path: string): void {
    for (const loaded of [...this.#loaded.values()]) {
      const { served, submissions } = loaded;
      const isOld = loaded.name === name && served.weights.path !== path;
      if (isOld && !submissions && !served.batcher.isBusy) this.#takeDown(loaded);
    }
  }

  #takeDown({ served }: Loaded): void {
    const { promptTokens, completionTokens } = served.batcher.load;
    this.#gone.promptTokens += promptTokens;
    this.#gone.completionTokens += completionTokens;
    this.#loaded.delete(served.weights.path);
    served.destroy();
  }

  #report(): void {
    this.#lastReport = performance.now();
    const loads = [...this.#loaded.values()].map(({ served }) => served.batcher.load);
    const sum = (of: (load: typeof loads[number]) => number) =>
      loads.reduce((total, load) => total + of(load), 0);
    const load: HostLoad = {
      running: sum(({ running }) => running),
      slots: loads.length > 0 ? sum(({ slots }) => slots) : this.options.maxSlots,
      waiting: sum(({ waiting }) => waiting) + this.#queue.length,
      promptTokens: this.#gone.promptTokens + sum(({ promptTokens }) => promptTokens),
      completionTokens: this.#gone.completionTokens + sum(({ completionTokens }) => completionTokens),
      deviceBytes: this.device.memory.allocatedBytes,
      loaded: [...this.#loaded.keys()],
    };
    this.post({ kind: "load", load });
  }
}
