/**
 * How a run is watched and what stays of it: nothing of this changes what it computes, so a run that goes on may be told otherwise.
 *
 * @module
 */

/** What a user may choose; whatever is left out is not done, unless it is said here. */
export interface Watching {
  /** Micro batches of a validation; a few when left out. */
  readonly evalBatches?: number;
  /** Checkpoints that stay, counted from the newest; left out with `keepEvery` too: all. */
  readonly keepLast?: number;
  /** Steps of which a multiple's checkpoint stays for good. */
  readonly keepEvery?: number;
  /** Validations without a new best loss that end the run. */
  readonly earlyStop?: number;
  /** The curve beside the run's own: `auto` when left out, `none`, a published one's name or `run:DIR`. */
  readonly reference?: string;
  /** Steps between HellaSwag evaluations; 0 for never. */
  readonly hellaswagEvery?: number;
  /** Examples of each; all when left out. */
  readonly hellaswagLimit?: number;
  /** Their file; the published validation part when left out. */
  readonly hellaswagFile?: string;
  /** Steps between light snapshots; 0 for never. */
  readonly snapshotEvery?: number;
  /** Text whose attention and predictions they hold. */
  readonly snapshotPrompt?: string;
  /** Parameters that they hold as well, by name or pattern. */
  readonly snapshotTensors?: readonly string[];
}

/** Every field of {@link Watching}. */
const FIELDS: readonly (keyof Watching)[] = [
  "evalBatches",
  "keepLast",
  "keepEvery",
  "earlyStop",
  "reference",
  "hellaswagEvery",
  "hellaswagLimit",
  "hellaswagFile",
  "snapshotEvery",
  "snapshotPrompt",
  "snapshotTensors",
];

/** What is given of {@link Watching}, and nothing else. */
export function watchingOf(given: Watching): Watching {
  return Object.fromEntries(
    FIELDS.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]),
  );
}
