import { assertEquals } from "@std/assert";
import { hasFlags } from "../../runtime/vector_width.ts";

const NEW = "processor : 0\nflags\t\t: fpu sse2 avx2 avx512f avx512dq avx512bw avx512vl\nbugs\t: none\n";

Deno.test("only a processor with all 512-bit instructions is asked for 512-bit vectors", () => {
  assertEquals(hasFlags(NEW), true);
  assertEquals(hasFlags(NEW.replace("avx512bw ", "")), false);
  assertEquals(hasFlags(""), false);
});

Deno.test("wide vectors are asked for together with a cache of their own, and not over the user's choice", async () => {
  const program = `
    import { preferWideVectors } from "${import.meta.resolve("../../runtime/vector_width.ts")}";
    preferWideVectors();
    console.log(JSON.stringify([Deno.env.get("LP_NATIVE_VECTOR_WIDTH"), Deno.env.get("MESA_SHADER_CACHE_DIR")]));`;
  const ask = async (width: string) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      env: { LP_NATIVE_VECTOR_WIDTH: width, MESA_SHADER_CACHE_DIR: "" },
    }).output();
    return JSON.parse(new TextDecoder().decode(stdout));
  };
  const [width, folder] = await ask("");
  assertEquals(width ? folder.endsWith("mesa-512") : !folder, true, `${width} with the cache in ${folder}`);
  assertEquals(await ask("256"), ["256", ""]);
});
