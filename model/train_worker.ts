/**
 * The Worker of a training run. WebGPU in Deno blocks its thread while it waits for a readback, so the device lives
 * here and the rest of the program is told what happens by messages.
 *
 * @module
 */
import type { TrainerCommand, TrainerEvent } from "./messages.ts";
import { Trainer } from "./trainer.ts";

interface WorkerScope {
  onmessage: ((message: MessageEvent<TrainerCommand>) => void) | null;
  postMessage(event: TrainerEvent): void;
}

const worker = self as unknown as WorkerScope;
const trainer = new Trainer((event) => worker.postMessage(event));

worker.onmessage = ({ data }) => {
  switch (data.kind) {
    case "start":
      trainer.run(data.request, data.turns);
      break;
    case "span":
      trainer.noteSpan(data.span);
      break;
    case "stop":
      trainer.stop(data);
      break;
    case "save":
    case "sample":
      trainer.ask(data);
  }
};
