/**
 * Everything that the server measures of itself, in one registry of its own, and the route that Prometheus reads.
 *
 * @module
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { Gauge, Registry } from "prom-client";
import type { Services } from "../services.ts";
import { GenerationMetrics } from "./generation_metrics.ts";
import { HttpMetrics } from "./http_metrics.ts";
import { ThreadDelay } from "./thread_delay.ts";
import { TrainingMetrics } from "./training_metrics.ts";

/** The server's metrics. */
export class Metrics {
  readonly #registry = new Registry();
  /** Requests and responses. */
  readonly http: HttpMetrics = new HttpMetrics(this.#registry);
  /** Gaps of the main thread; measured once it is started. */
  readonly thread: ThreadDelay = new ThreadDelay(this.#registry);
  /** Requests for text. */
  readonly generation: GenerationMetrics;
  /** Jobs; wants to be told their events. */
  readonly training: TrainingMetrics;

  /**
   * Registers every metric.
   *
   * @param services What is measured; asked only while metrics are read.
   */
  constructor(services: Pick<Services, "generation" | "training">) {
    this.generation = new GenerationMetrics(this.#registry, services.generation);
    const training = this.training = new TrainingMetrics(this.#registry, services.training);
    const registers = [this.#registry];
    new Gauge({
      name: "sinter_gpu_memory_bytes",
      help: "Device memory by what it is for: models and their caches, or the running training job.",
      labelNames: ["user"],
      registers,
      collect() {
        this.set({ user: "generation" }, services.generation.load().deviceBytes);
        this.set({ user: "training" }, training.deviceBytes);
      },
    });
    new Gauge({
      name: "process_resident_memory_bytes",
      help: "Memory of the process, the software adapter's included.",
      registers,
      collect() {
        this.set(Deno.memoryUsage().rss);
      },
    });
    new Gauge({ name: "process_start_time_seconds", help: "When the process began, since 1970.", registers })
      .set(performance.timeOrigin / 1000);
  }

  /** Content type of {@link render}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything in Prometheus' text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }
}

const metricsRoute = createRoute({
  method: "get",
  path: "/metrics",
  tags: ["operations"],
  summary: "Figures for Prometheus",
  description: "In Prometheus' text format, version 0.0.4.",
  responses: { 200: { description: "The figures.", content: { "text/plain": { schema: z.string() } } } },
});

/** The route of the metrics. */
export function metricsRoutes(metrics: Metrics): OpenAPIHono {
  return new OpenAPIHono().openapi(
    metricsRoute,
    async (context) => context.text(await metrics.render(), 200, { "Content-Type": metrics.contentType }),
  );
}
