/**
 * The trainer's events as a job keeps them: without paths of this machine, with numbers that JSON can say, and with what
 * they change in the job.
 *
 * @module
 */
import { basename } from "@std/path";
import type { ReplyEvent, TrainerEvent } from "../../model/messages.ts";
import type { Entry } from "./store.ts";

/** Events of a trainer that clients hear of; replies go to who asked. */
export type ReportedEvent = Exclude<TrainerEvent, ReplyEvent>;

/** What to write down of an event. */
export function entryOf(event: ReportedEvent, time: string): Entry {
  const { kind } = event;
  switch (event.kind) {
    case "plan": {
      const { kind: _, out: _out, ...data } = event;
      const { plan, resumedFrom: step } = event;
      return { time, kind, data, patch: { plan: { ...plan }, steps: plan.steps, step } };
    }
    case "step": {
      const { kind: _, step, lossScale, ...values } = event;
      const { loss, learningRate, gradNorm, tokensPerSecond, ms } = values;
      const metrics = {
        step,
        loss: finite(loss),
        learningRate: finite(learningRate),
        gradNorm: finite(gradNorm),
        tokensPerSecond: finite(tokensPerSecond),
        ms: finite(ms),
        ...lossScale === undefined ? {} : { lossScale },
      };
      const patch = { step, loss: metrics.loss, tokensPerSecond: metrics.tokensPerSecond };
      return { time, kind, data: { ...metrics }, metrics, patch };
    }
    case "validation": {
      const { step, tokens, reference } = event;
      const loss = finite(event.loss);
      return {
        time,
        kind,
        data: { step, loss, tokens, ...reference === undefined ? {} : { reference } },
        validation: { step, loss },
        patch: { validationLoss: loss },
      };
    }
    case "checkpoint": {
      const { step, removed } = event;
      return { time, kind, data: { step, ...removed.length > 0 && { removed: [...removed] } } };
    }
    case "snapshot": {
      const { kind: _, ...data } = event;
      return { time, kind, data: { ...data, path: basename(data.path) } };
    }
    case "profile": {
      const summary = { ...event.summary, path: basename(event.summary.path) };
      return { time, kind, data: { summary } };
    }
    default: {
      const { kind: _, ...data } = event;
      return { time, kind, data };
    }
  }
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
