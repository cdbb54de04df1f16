/**
 * Puts what `run.sh` measured on one machine together: JSON, the picture, and a page in Markdown, named after the device.
 *
 *     deno run --allow-read --allow-write bench/gpu/page.ts PARTS FOLDER
 *
 * PARTS holds `bench.json`, and `pytorch.json` and `checks.txt` where they were made; FOLDER takes the results.
 *
 * @module
 */
import type { Spread } from "../measure.ts";
import { drawLadders } from "../picture.ts";
import { type Report, slugOf, writeWhole } from "../report.ts";
import { ceilingLines, factor, milliseconds, percent, sharesOf, shorten, spread } from "../text.ts";

/** A row of `pytorch.py`: a training step or a product, or the reason why there is none. */
interface TorchRow {
  readonly name: string;
  readonly title?: string;
  readonly dtype?: string;
  readonly ms?: Spread;
  readonly tokensPerSecond?: number;
  readonly gflops?: number;
  readonly peakBytes?: number | null;
  readonly losses?: readonly number[];
  readonly error?: string;
}

/** What `pytorch.py` writes. */
export interface TorchReport {
  readonly torch: string;
  readonly device: string;
  readonly case: Readonly<Record<string, number>>;
  readonly rungs: readonly TorchRow[];
  readonly products: readonly TorchRow[];
}

/** Everything about one machine. */
export interface MachineReport extends Report {
  readonly pytorch?: TorchReport;
  /** The last line of the tests that ran there. */
  readonly checks?: string;
}

function markdownTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}

function ladderSection(report: MachineReport, slug: string): string {
  const sections = report.ladders.map(({ case: name, tokens, rungs }) => {
    const first = rungs.find(({ ms }) => ms);
    const rows = rungs.map((rung) => {
      const shares = sharesOf(rung, report.ceilings);
      if (!rung.ms || !shares) {
        return [rung.title, `${rung.status}: ${shorten(rung.note ?? "")}`, "", "", "", "", "", "", ""];
      }
      return [
        rung.title,
        spread(rung.ms),
        `${factor(first, rung)!.toFixed(2)} x`,
        rung.tokensPerSecond!.toFixed(0),
        String(rung.dispatches),
        `${(rung.peakBytes! / 2 ** 30).toFixed(2)} GiB`,
        `${percent(shares.arithmetic)}, ${percent(shares.bandwidth)}`,
        rung.dtype,
        rung.losses!.map((loss) => loss.toFixed(4)).join(" "),
      ];
    });
    const heads = [
      "rung",
      "ms a step",
      "in all",
      "tokens/s",
      "launches",
      "held",
      "arithmetic, traffic",
      "dtype",
      "losses",
    ];
    return `### ${name}, ${tokens.toLocaleString("en")} tokens a step\n\n${markdownTable(heads, rows)}`;
  });
  return sections.length === 0
    ? ""
    : `## The ladder\n\n![The ladder](${slug}.svg)\n\n${sections.join("\n\n")}`;
}

function productSection(report: MachineReport): string {
  if (report.comparisons.length === 0) return "";
  const rows = report.comparisons.filter(({ kind }) => kind === "matmul").map(({ case: name, own }) => {
    const { f16Gflops, f32Gflops } = report.ceilings;
    const ceiling = name.endsWith("-f16") ? f16Gflops ?? f32Gflops : f32Gflops;
    const theirs = (report.pytorch?.products ?? []).filter((row) => name.replace(/-f16$/, "") === row.name);
    return [
      name,
      own.ms ? milliseconds(own.ms.median) : shorten(own.error ?? ""),
      own.gflops ? own.gflops.toFixed(0) : "",
      own.gflops ? percent(own.gflops / ceiling) : "",
      theirs.map((row) => `${row.dtype} ${row.gflops?.toFixed(0) ?? shorten(row.error ?? "", 40)}`).join(
        ", ",
      ),
    ];
  });
  const heads = ["product", "ms", "GFLOP/s", "of the ceiling", "PyTorch, GFLOP/s"];
  return `## Products\n\n${markdownTable(heads, rows)}`;
}

function torchSection({ pytorch }: MachineReport): string {
  if (!pytorch) return "## PyTorch\n\nNot installed on this machine.";
  const rows = pytorch.rungs.map((row) => [
    row.title ?? row.name,
    row.ms ? spread(row.ms) : shorten(row.error ?? ""),
    row.tokensPerSecond?.toFixed(0) ?? "",
    row.peakBytes ? `${(row.peakBytes / 2 ** 30).toFixed(2)} GiB` : "",
    row.losses?.map((loss) => loss.toFixed(4)).join(" ") ?? "",
  ]);
  const size = Object.entries(pytorch.case).map(([name, value]) => `${name} ${value}`).join(", ");
  return `## PyTorch\n\nPyTorch ${pytorch.torch} on ${pytorch.device}, ${size}. Weights are drawn anew, so its losses begin near ours, not at them.\n\n${
    markdownTable(["recipe", "ms a step", "tokens/s", "held", "losses"], rows)
  }`;
}

/** The page. */
export function pageOf(report: MachineReport, slug: string): string {
  const { adapter, date, deno, checks } = report;
  const software = adapter.software ? " It runs on the processor: these are no figures of a GPU." : "";
  return `${
    [
      `# ${adapter.description}`,
      `Measured on ${
        date.slice(0, 10)
      } by \`bench/gpu/run.sh\` with Deno ${deno}, through ${adapter.backend}.${software} Medians, with minimum and maximum in parentheses. All figures: \`${slug}.json\`.`,
      checks ? `Tests on this device: ${checks}.` : "",
      `## Ceilings\n\n${ceilingLines(report.ceilings).split("\n").map((line) => `- ${line}`).join("\n")}`,
      ladderSection(report, slug),
      productSection(report),
      torchSection(report),
    ].filter(Boolean).join("\n\n")
  }\n`;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

if (import.meta.main) {
  const [parts, folder] = Deno.args;
  if (!parts || !folder) {
    console.error("usage: deno run --allow-read --allow-write bench/gpu/page.ts PARTS FOLDER");
    Deno.exit(2);
  }
  const bench = JSON.parse(await Deno.readTextFile(`${parts}/bench.json`)) as Report;
  const torch = await readIfThere(`${parts}/pytorch.json`);
  const checks = (await readIfThere(`${parts}/checks.txt`))?.trim().split("\n").at(-1);
  const report: MachineReport = {
    ...bench,
    ...(torch ? { pytorch: JSON.parse(torch) } : {}),
    ...(checks ? { checks } : {}),
  };
  const slug = slugOf(report.adapter);
  const base = `${folder}/${slug}`;
  await writeWhole(`${base}.json`, `${JSON.stringify(report, null, 1)}\n`);
  await writeWhole(`${base}.md`, pageOf(report, slug));
  if (report.ladders.length > 0) {
    const where = `${report.adapter.description}, Deno ${report.deno}, ${report.date.slice(0, 10)}`;
    await writeWhole(`${base}.svg`, drawLadders(report.ladders, where));
  }
  console.log(`results: ${base}.md`);
}
