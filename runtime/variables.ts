/**
 * Environment variables, as far as this process may read and set them.
 *
 * @module
 */

/** True when a variable may be read and set. */
export function mayUse(variable: string): boolean {
  return Deno.permissions.querySync({ name: "env", variable }).state === "granted";
}

/** The value of an environment variable, `undefined` when it is not set or may not be read. */
export function getVariable(variable: string): string | undefined {
  return mayUse(variable) ? Deno.env.get(variable) : undefined;
}

/** Sets a variable that the user has not set. */
export function setDefault(variable: string, value: string): void {
  if (mayUse(variable) && !Deno.env.get(variable)) Deno.env.set(variable, value);
}
