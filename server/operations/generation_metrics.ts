/**
 * Metrics of generation: how busy it is, read from the service when somebody asks, and how fast requests are answered,
 * measured by standing between routes and service.
 *
 * @module
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { GenerationEvent, GenerationRequest } from "../../model/generation.ts";
import type { GenerationLoad, GenerationService } from "../services.ts";
import { FIRST_TOKEN_SECONDS, TOKEN_SECONDS } from "./buckets.ts";

/** How a request for text ended: in full, with a failure's code, or because the client left. */
type Outcome = "completed" | "disconnected" | Extract<GenerationEvent, { kind: "failure" }>["code"];

/** Counts and times requests for text. */
export class GenerationMetrics {
  readonly #requests: Counter<"outcome">;
  readonly #firstToken: Histogram;
  readonly #perToken: Histogram;

  /** Registers the metrics. */
  constructor(registry: Registry, service: GenerationService) {
    const registers = [registry];
    this.#requests = new Counter({
      name: "sinter_generation_requests_total",
      help: "Requests for text that have ended, by how.",
      labelNames: ["outcome"],
      registers,
    });
    this.#firstToken = new Histogram({
      name: "sinter_generation_first_token_seconds",
      help: "Time from a request's arrival to its first token.",
      buckets: FIRST_TOKEN_SECONDS,
      registers,
    });
    this.#perToken = new Histogram({
      name: "sinter_generation_token_seconds",
      help: "Mean time of a request's tokens after its first one.",
      buckets: TOKEN_SECONDS,
      registers,
    });
    for (const [name, help, field] of LOAD_GAUGES) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(service.load()[field]);
        },
      });
    }
    for (const [name, help, field] of LOAD_COUNTERS) {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(service.load()[field]);
        },
      });
    }
  }

  /** The same service, measured. */
  measure(service: GenerationService): GenerationService {
    return {
      models: () => service.models(),
      load: () => service.load(),
      generate: (model, request, signal) => this.#watch(service.generate(model, request, signal), request),
    };
  }

  async *#watch(
    events: AsyncIterable<GenerationEvent>,
    { choices }: GenerationRequest,
  ): AsyncGenerator<GenerationEvent> {
    const arrival = performance.now();
    let outcome: Outcome = "disconnected";
    let first: number | undefined;
    try {
      for await (const event of events) {
        const now = performance.now();
        if (event.kind === "text" && event.tokens.length > 0 && first === undefined) {
          first = now;
          this.#firstToken.observe((now - arrival) / 1000);
        } else if (event.kind === "end") {
          outcome = "completed";
          const later = event.completionTokens / choices - 1;
          if (first !== undefined && later > 0) this.#perToken.observe((now - first) / 1000 / later);
        } else if (event.kind === "failure") outcome = event.code;
        yield event;
      }
    } finally {
      this.#requests.inc({ outcome });
    }
  }
}

type LoadField = Exclude<keyof GenerationLoad, "retryAfter" | "deviceBytes">;

const LOAD_GAUGES: readonly (readonly [name: string, help: string, field: LoadField])[] = [
  ["sinter_generation_running", "Sequences that are being continued.", "running"],
  ["sinter_generation_slots", "Places for sequences on the device.", "slots"],
  ["sinter_generation_waiting", "Requests that wait for a place.", "waiting"],
  ["sinter_generation_waiting_limit", "Requests that may wait.", "maxWaiting"],
];

const LOAD_COUNTERS: readonly (readonly [name: string, help: string, field: LoadField])[] = [
  ["sinter_generation_prompt_tokens_total", "Tokens of prompts.", "promptTokens"],
  ["sinter_generation_completion_tokens_total", "Tokens that were drawn.", "completionTokens"],
];
