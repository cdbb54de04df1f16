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
import { BreakableWay } from "./breakable.ts";
import { CompiledPrograms } from "./compiled_programs.ts";
import { LearningTrainer } from "./learning_trainer.ts";

/** How the server behaves. */
export type SiteOptions = AppOptions & {
  /** Steps after which jobs wait until the test lets them go on. */
  readonly holdAt?: number;
};

/** A server that runs. */
export interface Site {
  readonly url: string;
  /** Lets jobs go on that are held. */
  release(): void;
  /** Breaks all connections. */
  cut(): void;
}

/** Runs a test with a server, which is gone afterwards. */
export async function withSite(
  test: (site: Site) => Promise<void>,
  { holdAt = Infinity, ...options }: SiteOptions = {},
): Promise<void> {
  const runs = await Deno.makeTempDir({ prefix: "sinter-pages-" });
  let isHeld = true;
  const training = await TrainingJobs.open({
    runs,
    database: join(runs, "server.sqlite"),
    makeTrainer: (onEvent) => new LearningTrainer(onEvent, (done) => !isHeld || done < holdAt),
  });
  const generation = new FakeGeneration({ tokenMs: 15 });
  const programs = new CompiledPrograms();
  const lifecycle = Lifecycle.ready();
  const app = createApp({ training, generation, programs }, { ...options, lifecycle });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, app.fetch);
  const way = new BreakableWay(server.addr.port);
  try {
    await test({ url: way.url, release: () => isHeld = false, cut: () => way.cut() });
  } finally {
    lifecycle.drain();
    way.close();
    await training.close({ withinMs: 0 });
    await server.shutdown();
    await Deno.remove(runs, { recursive: true });
  }
}
