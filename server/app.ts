/**
 * The HTTP application: the shell around every request, and the routes of every part. It opens no port and starts
 * nothing, so tests call it with `app.request`.
 *
 * From the outside in: request id, log and metrics, security headers, form, origin rules, CORS, limits, draining; then the
 * guard of the part that the route belongs to, then the route.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { cors } from "hono/cors";
import { methodNotAllowed } from "hono/method-not-allowed";
import { openaiRoutes } from "./generation/openai.ts";
import { generationRoutes } from "./generation/routes.ts";
import { Access, type Role } from "./http/access.ts";
import type { ShellEnv } from "./http/context.ts";
import { refuseWhileDraining } from "./http/drain.ts";
import { ApiError } from "./http/error.ts";
import { errorHandler, errorResponse, notFoundHandler, refuseInvalid } from "./http/error_handler.ts";
import { DEFAULT_LIMITS, type RequestLimits, requestLimits } from "./http/limits.ts";
import type { Log } from "./http/log.ts";
import { originRules } from "./http/origin.ts";
import { REQUEST_ID_HEADER, requestIds } from "./http/request_id.ts";
import { securityHeaders } from "./http/security_headers.ts";
import { watchRequests } from "./http/watch_requests.ts";
import { wellFormed } from "./http/well_formed.ts";
import { healthRoutes } from "./operations/health.ts";
import { Lifecycle } from "./operations/lifecycle.ts";
import { Metrics, metricsRoutes } from "./operations/metrics.ts";
import { pageRoutes } from "./pages/routes.ts";
import { type OpenApiDocument, openApiDocument, type Part } from "./reference/document.ts";
import { referenceRoutes } from "./reference/routes.ts";
import type { Services } from "./services.ts";
import { programRoutes } from "./programs/routes.ts";
import { trainingRoutes } from "./training/routes.ts";

/** How the application behaves; everything has a default that suits tests. */
export interface AppOptions {
  /** Who may do what; left out: everything is open. */
  readonly access?: Access;
  /** Requests must be addressed to this machine by one of its own names. */
  readonly loopbackOnly?: boolean;
  /** Foreign origins whose pages may call. */
  readonly cors?: readonly string[];
  /** Bounds on requests, where they differ from the usual ones. */
  readonly limits?: Partial<RequestLimits>;
  /** Milliseconds that a reader may leave a chunk of its response untouched. */
  readonly stallMs?: number;
  /** Left out: nothing is logged. */
  readonly log?: Log;
  /** Left out: metrics that nobody else feeds. */
  readonly metrics?: Metrics;
  /** Left out: ready from the start. */
  readonly lifecycle?: Lifecycle;
}

/**
 * The application: `fetch` answers a request.
 *
 * @internal its type is the framework's
 */
export type Application = OpenAPIHono<ShellEnv>;

/** How long a reader may stall: what a phone needs to change its network. */
const STALL_MS = 30_000;

/**
 * Puts the application together.
 *
 * @example Not run in tests, since the services open a device and Workers
 * ```ts ignore
 * import { createApp } from "@sinter/sinter/server";
 * const app = createApp({ generation, training, programs });
 * Deno.serve({ port: 8000 }, app.fetch);
 * ```
 */
export function createApp(services: Services, options: AppOptions = {}): Application {
  const {
    access = new Access(),
    loopbackOnly = false,
    cors: allowed = [],
    stallMs = STALL_MS,
    log,
    metrics = new Metrics(services),
    lifecycle = Lifecycle.ready(),
  } = options;
  const app = new OpenAPIHono<ShellEnv>({ defaultHook: refuseInvalid });
  app.onError(errorHandler((problem, id) => log?.problem(problem, { id })));
  app.notFound(notFoundHandler());
  app.use(requestIds());
  app.use(watchRequests({ log, metrics: metrics.http, lifecycle, stallMs }));
  app.use(securityHeaders());
  app.use(wellFormed());
  app.use(originRules({ loopbackOnly, allowed }));
  if (allowed.length > 0) {
    app.use(cors({ origin: [...allowed], exposeHeaders: [REQUEST_ID_HEADER, "Retry-After"], maxAge: 600 }));
  }
  app.use(requestLimits({ ...DEFAULT_LIMITS, ...options.limits }));
  app.use(refuseWhileDraining(lifecycle));
  app.use(methodNotAllowed({
    app,
    onMethodNotAllowed: (context, methods) => {
      context.header("Allow", methods.join(", "));
      const message = `Only ${methods.join(", ")} can be used here.`;
      return errorResponse(context, new ApiError(405, "method_not_allowed", message));
    },
  }));

  const generation = metrics.generation.measure(services.generation);
  const parts: Part[] = [
    { routes: healthRoutes(lifecycle) },
    { routes: metricsRoutes(metrics), role: "generation" },
    { routes: generationRoutes(generation), role: "generation" },
    { routes: openaiRoutes(generation), role: "generation" },
    { routes: trainingRoutes(services.training), role: "admin" },
    { routes: programRoutes(services.programs), role: "admin" },
    { routes: pageRoutes() },
  ];
  for (const { routes, role } of parts) mount(app, routes, access, role);
  let document: OpenApiDocument | undefined;
  mount(app, referenceRoutes(() => document ??= openApiDocument(app, parts)), access);
  return app;
}

/** Adds routes, each behind the guard; by their own paths, so that none can be forgotten. */
function mount(app: Application, routes: OpenAPIHono, access: Access, role?: Role): void {
  if (role) {
    const guard = access.guard(role);
    for (const path of new Set(routes.routes.map(({ path }) => path))) app.use(path, guard);
  }
  app.route("/", routes);
}
