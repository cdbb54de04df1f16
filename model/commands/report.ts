/**
 * How a training run looks: for people on a terminal or in a log, or as JSON lines for programs. Both read the same
 * events, those that the trainer's Worker sends.
 *
 * @module
 */
import type { EvaluationEvent, PlanEvent, StepEvent, TrainerEvent, ValidationEvent } from "../messages.ts";
import { spaced } from "../run/disk_plan.ts";
import { metricsLine } from "../run/metrics.ts";
import { otherPreset, tokensPerStep } from "../run_options.ts";
import { type ProfileSummary, words } from "../profile_plan.ts";
import { plot, type Point } from "./plot.ts";
import type { MemoryReport } from "../memory.ts";
import { bold, yellow } from "@std/fmt/colors";
import { clock, count, mebibytes, printable } from "./text.ts";

/** Where text goes. */
export interface Screen {
  /** Columns of the terminal, or undefined when the text goes to a file or a pipe. */
  readonly columns: number | undefined;
  /** Writes a line that stays. */
  line(text: string): void;
  /** Replaces the line at the bottom; only called when there are columns. */
  status(text: string): void;
}

/** `acc 3020/10042 = 0.3007, acc_norm 2990/10042 = 0.2977`. */
export function scoreText({ correct, correctNorm, count, acc, accNorm }: EvaluationEvent): string {
  return `acc ${correct}/${count} = ${acc.toFixed(4)}, acc_norm ${correctNorm}/${count} = ${
    accNorm.toFixed(4)
  }`;
}

function stepsText(steps: readonly number[]): string {
  return steps.map((step) => `step ${step}`).join(", ");
}

/** Something that shows a run. */
export interface Report {
  show(event: TrainerEvent): void;
}

/** Weight of the past in the smoothed loss. */
const SMOOTHING = 0.95;

/** Between lines of progress in a log that is not a terminal, in milliseconds. */
const LOG_EVERY = 5000;

/** Shows a run to people. */
export class HumanReport implements Report {
  #steps = 0;
  #resumedFrom = 0;
  #losses: Point[] = [];
  #smoothed = 0;
  #weight = 0;
  #logged = 0;
  #last: StepEvent | undefined;
  #lossScale: number | undefined;

  /** @param now Milliseconds since some fixed moment; only differences count. */
  constructor(
    private readonly screen: Screen,
    private readonly now: () => number = () => performance.now(),
  ) {}

  show(event: TrainerEvent): void {
    const { screen } = this;
    switch (event.kind) {
      case "plan":
        this.#showPlan(event);
        break;
      case "compiled":
        screen.line(
          `compiled in ${(event.ms / 1000).toFixed(1)} s: ${event.kernels} kernels, ${event.dispatches} ` +
            `launches a step, ${mebibytes(event.peakBytes)} planned`,
        );
        this.#showMemory(event.memory);
        break;
      case "step":
        this.#showStep(event);
        break;
      case "validation":
        this.#showValidation(event);
        break;
      case "sample":
        screen.line(`step ${event.step}: sample ┤ ${printable(event.text)}`);
        break;
      case "checkpoint": {
        const { step, path, removed } = event;
        screen.line(
          `step ${step}: saved ${path}${removed.length > 0 ? `, removed ${stepsText(removed)}` : ""}`,
        );
        break;
      }
      case "snapshot":
        screen.line(`step ${event.step}: snapshot ${event.path}`);
        break;
      case "evaluation":
        screen.line(`step ${event.step}: ${event.name} ${scoreText(event)}`);
        break;
      case "alarm":
        screen.line(screen.columns === undefined ? event.text : yellow(bold(event.text)));
        break;
      case "notice":
        screen.line(event.text);
        break;
      case "profile":
        this.#showProfile(event.summary);
        break;
      case "end":
        this.#showEnd();
        break;
      case "failure":
        break; // the command says it on standard error
    }
  }

  #showPlan(event: PlanEvent): void {
    const { plan, adapter, resumedFrom } = event;
    const { screen } = this;
    const kind = adapter.software ? "runs on the processor" : "GPU";
    screen.line(
      `${adapter.name} (${kind}): preset ${plan.preset}; for the other: deno task train --preset ` +
        otherPreset(plan.preset),
    );
    const { layers, width, heads, context } = plan.model;
    screen.line(
      `model: ${count(event.parameters)} parameters (${layers} layers, width ${width}, ${heads} heads, ` +
        `context ${context}, tokenizer ${plan.tokenizer})`,
    );
    if (plan.initFrom !== undefined) screen.line(`weights: begins with ${plan.initFrom}`);
    screen.line(
      `data: ${plan.data}, ${count(event.trainTokens)} tokens to train, ` +
        `${count(event.validationTokens)} to validate`,
    );
    const goesOn = resumedFrom > 0 ? `; goes on after step ${resumedFrom}` : "";
    screen.line(
      `run: ${plan.steps} steps of ${count(tokensPerStep(plan))} tokens, learning rate ` +
        `${plan.learningRate}, ${plan.dtype}, seed ${plan.seed}, into ${event.out}${goesOn}`,
    );
    this.#showDisk(event);
    if (event.reference) screen.line(`reference: ${event.reference.name} (${event.reference.source})`);
    this.#steps = plan.steps;
    this.#resumedFrom = resumedFrom;
  }

  #showDisk({ disk: { checkpointBytes, checkpoints, totalBytes, freeBytes } }: PlanEvent): void {
    const free = freeBytes === undefined ? "" : ` of ${spaced(freeBytes)} that are free`;
    this.screen.line(
      `disk: at most ${checkpoints} checkpoint${checkpoints === 1 ? "" : "s"} of ${
        spaced(checkpointBytes)
      }, ` +
        `${spaced(totalBytes)} in all${free}`,
    );
  }

  #showValidation({ step, loss, reference }: ValidationEvent): void {
    const gap = reference === undefined
      ? ""
      : `, ${Math.abs(loss - reference).toFixed(2)} ${
        loss > reference ? "above" : "below"
      } the reference's ` +
        reference.toFixed(3);
    this.screen.line(`step ${step}: validation loss ${loss.toFixed(4)}${gap}`);
  }

  #showMemory(memory: MemoryReport | undefined): void {
    if (!memory || (!memory.isGiven && memory.recomputed === 0)) return;
    const { plannedBytes, budgetBytes, isGiven, recomputed, share } = memory;
    const extra = recomputed > 0
      ? `${count(recomputed)} values recomputed, +${(share * 100).toFixed(share < 0.1 ? 1 : 0)}% arithmetic`
      : "nothing recomputed";
    this.screen.line(
      `memory: ${spaced(plannedBytes)} planned of ${spaced(budgetBytes)} ` +
        `(${isGiven ? "--memory" : "free on this machine"}), ${extra}`,
    );
  }

  #showProfile({ path, queue, kernels, use, kernelsByTime }: ProfileSummary): void {
    const { screen } = this;
    const parts = [
      ...queue.end > queue.first ? [`${words(queue)} as they run`] : [],
      ...kernels.end > kernels.first ? [`${words(kernels)} kernel by kernel`] : [],
    ];
    screen.line(
      `profile: steps ${parts.join(", ")}, in ${path}; open it in ui.perfetto.dev or chrome://tracing`,
    );
    const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
    if (use) {
      const host = use.gap?.host.slice(0, 2).map(({ name, ms }) => `${name} ${ms.toFixed(2)} ms`).join(", ");
      const gap = use.gap
        ? `; the longest gap was ${(use.gap.end - use.gap.start).toFixed(2)} ms between ` +
          `${use.gap.between.join(" and ")}${host ? `, the host's part of it: ${host}` : ""}`
        : "";
      screen.line(`profile: the GPU worked ${percent(use.busyShare)} of ${use.windowMs.toFixed(0)} ms${gap}`);
    }
    const shares = kernelsByTime.map(({ name, share }) => `${name} ${percent(share)}`);
    if (shares.length > 0) screen.line(`profile: most time went into ${shares.join(", ")}`);
  }

  #showStep(event: StepEvent): void {
    this.#losses.push([event.step, event.loss]);
    this.#smoothed = SMOOTHING * this.#smoothed + (1 - SMOOTHING) * event.loss;
    this.#weight = SMOOTHING * this.#weight + (1 - SMOOTHING);
    this.#last = event;
    this.#showLossScale(event);
    if (this.screen.columns !== undefined) {
      this.screen.status(this.#progress(event, this.screen.columns));
    } else if (event.step === this.#resumedFrom + 1 || this.now() - this.#logged >= LOG_EVERY) {
      this.#logged = this.now();
      this.screen.line(this.#figures(event));
    }
  }

  #showLossScale({ step, gradNorm, lossScale }: StepEvent): void {
    if (lossScale === undefined || lossScale === this.#lossScale) return;
    const isFirst = this.#lossScale === undefined;
    this.#lossScale = lossScale;
    const skipped = Number.isFinite(gradNorm) ? "" : "gradients overflowed and the step does not count; ";
    if (skipped || !isFirst) this.screen.line(`step ${step}: ${skipped}loss scale ${lossScale}`);
  }

  #figures(event: StepEvent): string {
    const left = (this.#steps - event.step) * event.ms;
    return `step ${`${event.step}`.padStart(`${this.#steps}`.length)}/${this.#steps}` +
      ` loss ${event.loss.toFixed(3)} (${(this.#smoothed / this.#weight).toFixed(3)})` +
      ` lr ${event.learningRate.toExponential(2)} norm ${event.gradNorm.toFixed(2)}` +
      ` ${count(Math.round(event.tokensPerSecond))} tok/s ETA ${clock(left)}`;
  }

  #progress(event: StepEvent, columns: number): string {
    const figures = this.#figures(event);
    const room = Math.min(40, columns - figures.length - 2);
    if (room < 3) return figures.slice(0, columns - 1);
    const filled = Math.round(room * event.step / this.#steps);
    return `${"█".repeat(filled)}${"░".repeat(room - filled)} ${figures}`;
  }

  #showEnd(): void {
    if (!this.#last) return;
    const { screen } = this;
    screen.line(this.#figures(this.#last));
    const picture = plot(this.#losses, Math.min(screen.columns ?? 80, 100), 10);
    if (picture) screen.line(`loss by step\n${picture}`);
  }
}

/** Shows a run to programs: one JSON object a line on `write`, what people want to know to `people`. */
export class JsonReport implements Report {
  constructor(private readonly write: (line: string) => void, private readonly people: Report) {}

  show(event: TrainerEvent): void {
    const line = metricsLine(event);
    if (line) this.write(JSON.stringify(line));
    if ((!line && event.kind !== "end") || event.kind === "alarm") this.people.show(event);
  }
}
