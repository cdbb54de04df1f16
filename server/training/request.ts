/**
 * From what a client asks for to what the trainer is told. Messages of the checks that it shares with the command line
 * name flags; here they name the fields.
 *
 * @module
 */
import { InputError } from "../../model/errors.ts";
import { parseMemory } from "../../model/memory.ts";
import { planRun, type TrainRequest } from "../../model/run_options.ts";
import { ApiError } from "../http/error.ts";
import { type JobConfig, jobConfigSchema } from "./schemas.ts";

/** Steps that are profiled as they run at a job's start. */
const PROFILED_STEPS = 3;
/** The profile in a job's directory. */
export const PROFILE_FILE = "profile.json";

/**
 * Checks a configuration, whoever made it.
 *
 * @throws {ApiError} 400 that names the field.
 */
export function checkConfig(config: Readonly<Record<string, unknown>>): JobConfig {
  const { data, error } = jobConfigSchema.safeParse(config);
  if (error) {
    const [{ path, message }] = error.issues;
    throw new ApiError(400, "invalid_value", message, { param: path.join(".") });
  }
  const request = asFields(() => trainRequest(data, ""));
  // Which adapter there is shows when the job starts; here it is refused if it could run on neither kind.
  const problems = [true, false].flatMap((software) => {
    try {
      planRun(request, software);
      return [];
    } catch (problem) {
      return [problem];
    }
  });
  if (problems.length === 2) {
    asFields(() => {
      throw problems[0];
    });
  }
  return data;
}

/** The trainer's request of a job whose directory is `out`. */
export function trainRequest(config: JobConfig, out: string): TrainRequest {
  const { name: _, memory, ...rest } = config;
  return {
    ...rest,
    ...memory === undefined ? {} : { memoryBytes: parseMemory(memory) },
    out,
    // A job's figures are in the server's own database.
    record: false,
    profile: `${out}/${PROFILE_FILE}`,
    profileSteps: PROFILED_STEPS,
    profileIsOptional: true,
  };
}

function asFields<T>(check: () => T): T {
  try {
    return check();
  } catch (problem) {
    if (!(problem instanceof InputError)) throw problem;
    const [param] = fieldNames(problem.input).split(" ");
    throw new ApiError(400, "invalid_value", fieldNames(problem.message), { param });
  }
}

/** `--micro-batch 3` becomes `microBatch 3`. */
function fieldNames(text: string): string {
  return text.replace(
    /--([a-z]+(?:-[a-z]+)*)/g,
    (_, flag: string) =>
      flag === "lr" ? "learningRate" : flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
  );
}
