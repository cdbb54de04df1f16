/**
 * Runs a compiled graph once on a device: the other side of every comparison with the reference.
 *
 * @module
 */
import type { Graph, Program } from "../../compiler/mod.ts";
import type { GpuDevice, TensorData } from "../../runtime/mod.ts";

/**
 * The program's outputs by name.
 *
 * @param inputs A value for every input of the graph that the program was compiled from, whatever its role.
 */
export async function runGraph(
  device: GpuDevice,
  graph: Graph,
  program: Program,
  inputs: Readonly<Record<string, TensorData>>,
): Promise<Record<string, TensorData>> {
  const states = device.createStates();
  const loaded = await device.load(program, states);
  const batch: Record<string, TensorData> = {};
  const scalars: Record<string, number> = {};
  for (const { op, attrs } of graph.nodes) {
    if (op !== "input") continue;
    const name = attrs.name as string;
    if (attrs.role === "scalar") scalars[name] = inputs[name][0];
    else if (attrs.role === "state") states.write(name, 0, inputs[name]);
    else batch[name] = inputs[name];
  }
  loaded.run({ batch, scalars });
  const outputs = await loaded.readAll();
  loaded.destroy();
  states.destroy();
  return outputs;
}
