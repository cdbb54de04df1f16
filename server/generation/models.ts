/**
 * The models that can be asked: the newest checkpoint of every run in the folder of runs.
 *
 * @module
 */
import { join } from "@std/path";
import { type CheckpointHead, listCheckpoints, readCheckpointHead } from "../../model/checkpoint.ts";

/** How long a look at the folder counts, in milliseconds. */
const FRESH_MS = 1000;

/** A run with its newest checkpoint. */
export interface RunModel extends CheckpointHead {
  /** The run's name. */
  readonly id: string;
}

/** Lists models. */
export class ModelList {
  #models: Promise<readonly RunModel[]> | undefined;
  #readAt = -Infinity;

  /** @param runs The folder of runs; it need not be there. */
  constructor(private readonly runs: string) {}

  /** Newest first. */
  all(): Promise<readonly RunModel[]> {
    const now = performance.now();
    if (!this.#models || now - this.#readAt > FRESH_MS) {
      this.#readAt = now;
      this.#models = this.#read();
    }
    return this.#models;
  }

  /** The model of that name, or the newest one. */
  async find(id: string | undefined): Promise<RunModel | undefined> {
    const models = await this.all();
    return id === undefined ? models[0] : models.find((model) => model.id === id);
  }

  async #read(): Promise<RunModel[]> {
    const found: RunModel[] = [];
    try {
      for await (const { name, isDirectory } of Deno.readDir(this.runs)) {
        const model = isDirectory && !name.startsWith(".") ? await this.#newest(name) : undefined;
        if (model) found.push(model);
      }
    } catch (problem) {
      if (!(problem instanceof Deno.errors.NotFound)) throw problem;
    }
    return found.sort((a, b) => b.savedAt.getTime() - a.savedAt.getTime());
  }

  /** A checkpoint that cannot be read is passed over: the one before it may be good. */
  async #newest(id: string): Promise<RunModel | undefined> {
    for (const path of await listCheckpoints(join(this.runs, id))) {
      try {
        return { id, ...await readCheckpointHead(path) };
      } catch {
        continue;
      }
    }
  }
}
