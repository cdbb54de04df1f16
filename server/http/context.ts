/**
 * What the shell's middleware leaves in a request's context for those after it.
 *
 * @module
 */

/** Variables of a request, for `Context<ShellEnv>`. */
export interface ShellEnv {
  /** Set by the middleware of `request_id.ts`. */
  readonly Variables: { requestId: string };
}
