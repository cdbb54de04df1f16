/**
 * The one form of errors, for the API's document.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";

/** What every refusal looks like; `ApiError` makes them. */
export const refusalSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    code: z.string(),
    param: z.string().nullable(),
  }),
}).openapi("Error");
