/**
 * The table of simplifications, in the order in which they are tried on a node.
 *
 * @module
 */
import { ALGEBRA_RULES } from "./algebra.ts";
import { CONSTANT_RULES } from "./constants.ts";
import { MOVEMENT_RULES } from "./movement.ts";
import { REDUCTION_RULES } from "./reductions.ts";
import type { Rule } from "./rule.ts";
import { SPACE_RULES } from "./spaces.ts";

/** Every rule. Those that make a node vanish come before those that move it. */
export const RULES: readonly Rule[] = [
  ...CONSTANT_RULES,
  ...ALGEBRA_RULES,
  ...MOVEMENT_RULES,
  ...REDUCTION_RULES,
  ...SPACE_RULES,
];
