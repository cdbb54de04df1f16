/**
 * A server on a port of this machine whose jobs learn without a device, for tests that look at its pages in a browser.
 *
 * @module
 */
import { join } from "@std/path";
import { type AppOptions, createApp } from "../../../server/app.ts";
import { Lifecycle } from "../../../server/operations/lifecycle.ts";
import { TrainingJobs } from "../../../server/training/service.ts";
import { FakeGeneration } from "../fake_generation.ts";
import { CompiledPrograms } from "./compiled_programs.ts";
import { LearningTrainer } from "./learning_trainer.ts";

/** How the server behaves. */
export type SiteOptions = AppOptions & {
  /** Model of the program that it has compiled. */
  readonly preset?: "nano" | "gpt2";
};

/** A server that runs. */
export interface Site {
  readonly url: string;
}

/** Runs a test with a server, which is gone afterwards. */
export async function withSite(
  test: (site: Site) => Promise<void>,
  { preset = "nano", ...options }: SiteOptions = {},
): Promise<void> {
  const runs = await Deno.makeTempDir({ prefix: "sinter-pages-" });
  const training = await TrainingJobs.open({
    runs,
    database: join(runs, "server.sqlite"),
    makeTrainer: (onEvent) => new LearningTrainer(onEvent),
  });
  const generation = new FakeGeneration({ tokenMs: 15 });
  const programs = new CompiledPrograms(preset);
  const lifecycle = Lifecycle.ready();
  const app = createApp({ training, generation, programs }, { ...options, lifecycle });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, app.fetch);
  try {
    await test({ url: `http://127.0.0.1:${server.addr.port}` });
  } finally {
    lifecycle.drain();
    await training.close({ withinMs: 0 });
    await server.shutdown();
    await Deno.remove(runs, { recursive: true });
  }
}
