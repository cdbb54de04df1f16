/**
 * The near side of generation: passes requests to the Worker that owns the device and their events to whoever waits. A
 * Worker whose device is lost is replaced; the thread that calls this never waits for the GPU.
 *
 * @module
 */
import type { GenerationEvent, GenerationRequest } from "../../model/mod.ts";
import { tokenizerOf } from "../../model/served_model.ts";
import { GpuTurns, TURN_PARTIES } from "../../runtime/mod.ts";
import type { GenerationLoad, GenerationService, ServedModel } from "../services.ts";
import type { HostCommand, HostEvent, HostLoad, HostOptions } from "./messages.ts";
import { ModelList } from "./models.ts";

/** How to serve. */
export interface ClientOptions extends HostOptions {
  /** The folder of runs. */
  readonly runs: string;
  /** Told when the device is ready, lost or replaced. */
  readonly onStatus?: (status: HostStatus) => void;
}

/** What became of the device. */
export type HostStatus =
  | { readonly kind: "ready"; readonly adapter: string; readonly software: boolean }
  | { readonly kind: "lost"; readonly message: string };

/** Time between two attempts to replace a Worker whose device is lost, in milliseconds. */
const REPLACE_MS = 1000;

const NO_LOAD: HostLoad = {
  running: 0,
  slots: 0,
  waiting: 0,
  promptTokens: 0,
  completionTokens: 0,
  deviceBytes: 0,
  loaded: [],
};

/** Generation in a Worker of its own. */
export class GenerationClient implements GenerationService {
  readonly #models: ModelList;
  readonly #streams = new Map<number, EventQueue>();
  readonly #ready = Promise.withResolvers<HostStatus>();
  #worker?: Worker;
  #load = NO_LOAD;
  /** Tokens that Workers before this one counted. */
  #before = { promptTokens: 0, completionTokens: 0 };
  #nextId = 1;
  #isClosed = false;
  #replacement?: ReturnType<typeof setTimeout>;
  #isReady = false;

  private constructor(private readonly options: ClientOptions) {
    this.#models = new ModelList(options.runs);
    this.#start();
  }

  /** Starts the Worker. */
  static open(options: ClientOptions): GenerationClient {
    return new GenerationClient(options);
  }

  /** Resolves with what became of the first attempt to open a device. */
  get opened(): Promise<HostStatus> {
    return this.#ready.promise;
  }

  /** True while a device answers. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Ends the Worker at once, as a lost device would; for tests of what follows. */
  lose(): void {
    this.#worker?.terminate();
    this.#noteLost("the Worker was ended");
  }

  #start(): void {
    const { runs: _, onStatus: __, ...options } = this.options;
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<HostEvent>) => {
      if (this.#worker === worker) this.#receive(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#worker === worker) this.#noteLost(event.message);
    };
    this.#send({ kind: "open", options });
  }

  #send(command: HostCommand): void {
    this.#worker?.postMessage(command);
  }

  #receive(event: HostEvent): void {
    switch (event.kind) {
      case "events":
        for (const [id, each] of event.events) this.#deliver(id, each);
        break;
      case "load":
        this.#load = event.load;
        break;
      case "ready":
        this.#isReady = true;
        this.#preload();
        this.#ready.resolve(event);
        this.options.onStatus?.(event);
        break;
      case "lost":
        this.#noteLost(event.message);
    }
  }

  /** The newest model is there before somebody asks for it: on a cold machine drivers compile for seconds. */
  async #preload(): Promise<void> {
    const newest = await this.#models.find(undefined).catch(() => undefined);
    if (newest && !this.#isClosed) this.#send({ kind: "preload", model: newest.id, path: newest.path });
  }

  #deliver(id: number, event: GenerationEvent): void {
    this.#streams.get(id)?.push(event);
    if (event.kind === "end" || event.kind === "failure") this.#streams.delete(id);
  }

  /** Nothing more will come from the Worker: its requests fail, and another one takes its place. */
  #noteLost(message: string): void {
    if (this.#isClosed || this.#replacement !== undefined) return;
    this.#isReady = false;
    this.#ready.resolve({ kind: "lost", message });
    this.options.onStatus?.({ kind: "lost", message });
    for (const id of [...this.#streams.keys()]) {
      this.#deliver(id, { kind: "failure", code: "device_lost", message: "the GPU was lost: try again" });
    }
    this.#before.promptTokens += this.#load.promptTokens;
    this.#before.completionTokens += this.#load.completionTokens;
    this.#load = NO_LOAD;
    const old = this.#worker;
    this.#worker = undefined;
    const { turns } = this.options;
    if (turns) GpuTurns.release(turns, TURN_PARTIES.generation); // a Worker that is gone cannot
    this.#replacement = setTimeout(() => {
      this.#replacement = undefined;
      old?.terminate();
      this.#start();
    }, REPLACE_MS);
  }

  async models(): Promise<readonly ServedModel[]> {
    const models = await this.#models.all();
    return models.map(({ id, path, step, config, savedAt }) => ({
      id,
      created: Math.floor(savedAt.getTime() / 1000),
      step,
      config,
      tokenizer: tokenizerOf(config),
      isLoaded: this.#load.loaded.includes(path),
    }));
  }

  load(): GenerationLoad {
    const { maxWaiting, maxSlots } = this.options;
    const { loaded: _, promptTokens, completionTokens, ...load } = this.#load;
    const slots = load.slots || maxSlots;
    return {
      ...load,
      slots,
      maxWaiting,
      promptTokens: this.#before.promptTokens + promptTokens,
      completionTokens: this.#before.completionTokens + completionTokens,
      // Requests take seconds: as many rounds of them as wait.
      retryAfter: 1 + Math.ceil(load.waiting / slots),
    };
  }

  async *generate(
    model: string | undefined,
    request: GenerationRequest,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void> {
    const found = await this.#models.find(model);
    if (!found) {
      yield { kind: "failure", code: "unknown_model", message: await this.#unknown(model) };
      return;
    }
    if (this.#isClosed || !this.#worker) {
      yield this.#isClosed
        ? { kind: "failure", code: "shutting_down", message: "the server is going down" }
        : { kind: "failure", code: "device_lost", message: "the GPU was lost: try again" };
      return;
    }
    if (signal.aborted) return;
    const id = this.#nextId++;
    const queue = new EventQueue();
    this.#streams.set(id, queue);
    const leave = () => {
      if (this.#streams.delete(id)) this.#send({ kind: "cancel", id });
      queue.close();
    };
    signal.addEventListener("abort", leave);
    try {
      this.#send({ kind: "generate", id, model: found.id, path: found.path, request });
      yield* queue;
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  }

  async #unknown(model: string | undefined): Promise<string> {
    const names = (await this.#models.all()).map(({ id }) => id);
    if (names.length === 0) {
      return "there is no model yet: train one, by POST /v1/training/jobs or deno task train";
    }
    return `there is no model ${JSON.stringify(model)} (there are: ${names.slice(0, 20).join(", ")})`;
  }

  /** Drains, and ends the Worker. */
  async close(timeoutMs = 0): Promise<void> {
    await this.drain(timeoutMs);
    this.#worker?.terminate();
  }

  /**
   * Refuses what comes, and lets what is under way finish for so long. The Worker stays: a process that is about to end
   * should leave it alone, since a driver that is taken down meanwhile may crash it (see `TrainerClient.terminate`).
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#replacement);
    this.#send({ kind: "drain" });
    const end = performance.now() + timeoutMs;
    while (this.#streams.size > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const message = "the server is going down";
    for (const id of [...this.#streams.keys()]) {
      this.#deliver(id, { kind: "failure", code: "shutting_down", message });
    }
  }
}

/** Events of one request, in order, for one reader. */
class EventQueue implements AsyncIterable<GenerationEvent> {
  readonly #events: GenerationEvent[] = [];
  #isClosed = false;
  #wake = Promise.withResolvers<void>();

  push(event: GenerationEvent): void {
    this.#events.push(event);
    this.#wake.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationEvent, void> {
    for (;;) {
      while (this.#events.length > 0) {
        const event = this.#events.shift()!;
        yield event;
        if (event.kind === "end" || event.kind === "failure") return;
      }
      if (this.#isClosed) return;
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }
}
