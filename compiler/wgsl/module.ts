/**
 * Assembles a WGSL module: the one place that knows the dialect that Deno's naga accepts. naga wants `enable f16;` but
 * rejects `enable subgroups;`, although it accepts subgroup operations once the device has the feature.
 *
 * @module
 */

/** Builtins that an entry point's statements may use, by the name that they have there. */
export const BUILTINS = {
  /** `vec3<u32>`: workgroup id, already unfolded. */
  group: "@builtin(workgroup_id) group: vec3<u32>",
  /** `vec3<u32>`: invocation id inside its workgroup. */
  local: "@builtin(local_invocation_id) local: vec3<u32>",
  /** `u32`: linear invocation id inside its workgroup. */
  localIndex: "@builtin(local_invocation_index) localIndex: u32",
  /** `u32`: lane inside the subgroup. */
  lane: "@builtin(subgroup_invocation_id) lane: u32",
} as const;

/** The parts of a module. */
export interface ModuleParts {
  readonly name: string;
  /** Comment lines at the top: what the kernel computes. */
  readonly about: readonly string[];
  /** Binding declarations without the `@group(0) @binding(i)` prefix, in binding order. */
  readonly bindings: readonly string[];
  readonly declarations: string;
  readonly body: string;
  readonly workgroupSize: readonly [number, number, number];
}

/** The module's text; enables and builtins follow from what the text uses. */
export function assembleModule(parts: ModuleParts): string {
  const { name, about, bindings, declarations, body, workgroupSize } = parts;
  const text = bindings.join("\n") + declarations + body;
  const enables = /\bf16\b/.test(text) ? "enable f16;\n" : "";
  const comment = about.map((line) => `// ${line}\n`).join("");
  const bound = bindings.map((binding, i) => `@group(0) @binding(${i}) ${binding};\n`).join("");
  const builtins = Object.entries(BUILTINS)
    .filter(([builtin]) => new RegExp(`\\b${builtin}\\b`).test(body))
    .map(([, declaration]) => declaration);
  const indented = body.trimEnd().split("\n").map((line) => line && `  ${line}`).join("\n");
  return `${comment}${enables}${bound}${declarations}` +
    `@compute @workgroup_size(${workgroupSize.join(", ")})\n` +
    `fn ${name}(${builtins.join(", ")}) {\n${indented}\n}\n`;
}
