/**
 * Metrics of training: where jobs stand, read from the service when somebody asks, and the time of steps, from the
 * events of the running job.
 *
 * @module
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Job, JobEvent, JobState, TrainingService } from "../services.ts";
import { STEP_SECONDS } from "./buckets.ts";

const STATES: readonly JobState[] = ["queued", "running", "paused", "finished", "failed", "cancelled"];

/** Figures of the running job, by the metric's name. */
const FIGURES: readonly (readonly [name: string, help: string, field: (job: Job) => number | undefined])[] = [
  ["sinter_training_step", "Steps of the running job that are done.", (job) => job.step],
  ["sinter_training_loss", "Loss of its newest step, in nats.", (job) => job.loss],
  ["sinter_training_validation_loss", "Its newest validation loss, in nats.", (job) => job.validationLoss],
  ["sinter_training_tokens_per_second", "Tokens that it trains on per second.", (job) => job.tokensPerSecond],
];

/** Watches jobs. */
export class TrainingMetrics {
  readonly #stepSeconds: Histogram;
  readonly #steps: Counter;
  /** Device memory that the running job's programs plan for. */
  #deviceBytes = 0;

  /** Registers the metrics. */
  constructor(registry: Registry, private readonly service: TrainingService) {
    const registers = [registry];
    this.#stepSeconds = new Histogram({
      name: "sinter_training_step_seconds",
      help: "Time of an optimizer step.",
      buckets: STEP_SECONDS,
      registers,
    });
    this.#steps = new Counter({
      name: "sinter_training_steps_total",
      help: "Optimizer steps that this server has done.",
      registers,
    });
    new Gauge({
      name: "sinter_training_jobs",
      help: "Jobs by state; the queue's length is that of the state queued.",
      labelNames: ["state"],
      registers,
      collect() {
        const counts = service.counts();
        for (const state of STATES) this.set({ state }, counts[state]);
      },
    });
    for (const [name, help, field] of FIGURES) {
      new Gauge({
        name,
        help,
        labelNames: ["job"],
        registers,
        collect() {
          this.reset();
          const job = running(service);
          const value = job && field(job);
          if (job && value !== undefined) this.set({ job: job.id }, value);
        },
      });
    }
  }

  /** Bytes that the running job takes on the device; 0 when none runs. */
  get deviceBytes(): number {
    return running(this.service) ? this.#deviceBytes : 0;
  }

  /** To be called with every event of every job. */
  record({ kind, data }: JobEvent): void {
    if (kind === "step" && typeof data.ms === "number") {
      this.#stepSeconds.observe(data.ms / 1000);
      this.#steps.inc();
    } else if (kind === "compiled" && typeof data.peakBytes === "number") this.#deviceBytes = data.peakBytes;
  }
}

function running(service: TrainingService): Job | undefined {
  return service.list({ states: ["running"], limit: 1 })[0];
}
