/**
 * Text out of parquet files, one row group at a time: what is read is the footer and the column chunk that is asked for, so
 * memory is bounded by a row group (FineWeb-Edu's have 1,000 documents, some 5 MB of text).
 *
 * @module
 */
import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { DataError } from "../errors.ts";

/** Largest column chunk of a row group, decompressed. */
const MAX_CHUNK_BYTES = 2 ** 30;
const REMEDY = "name parquet files with a column of text, or download this one again";

/** An open parquet file, as far as one column of text is concerned. */
export class ParquetText {
  readonly #starts: readonly number[];

  private constructor(
    /** Where it lies. */
    readonly path: string,
    readonly column: string,
    private readonly file: Deno.FsFile,
    private readonly size: number,
    private readonly metadata: FileMetaData,
  ) {
    let rows = 0;
    this.#starts = [0, ...metadata.row_groups.map((group) => rows += Number(group.num_rows))];
  }

  /**
   * Opens a file and reads its footer.
   *
   * @throws {DataError} when it is no parquet file, is damaged, or has no such column of text.
   */
  static async open(path: string, column: string): Promise<ParquetText> {
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path);
    } catch (problem) {
      throw new DataError(path, `cannot be read (${describe(problem)})`, REMEDY);
    }
    try {
      const size = (await file.stat()).size;
      if (size < 12) throw new Error("it is too short");
      const metadata = await parquetMetadataAsync(buffer(file, size));
      requireText(path, column, metadata);
      return new ParquetText(path, column, file, size, metadata);
    } catch (problem) {
      file.close();
      throw asDataError(path, problem);
    }
  }

  /** Row groups in it. */
  get groups(): number {
    return this.metadata.row_groups.length;
  }

  /**
   * The texts of a row group, in order.
   *
   * @throws {DataError} when the group is damaged or has a row without text.
   */
  async read(group: number): Promise<string[]> {
    const { path, column, metadata } = this;
    const [rowStart, rowEnd] = this.#starts.slice(group, group + 2);
    const where = `row group ${group}`;
    const chunk = metadata.row_groups[group].columns
      .find(({ meta_data }) => meta_data?.path_in_schema.join(".") === column)?.meta_data;
    const bytes = Number(chunk?.total_uncompressed_size ?? 0);
    if (bytes > MAX_CHUNK_BYTES) {
      throw new DataError(
        path,
        `${where} holds ${bytes} bytes of text, at most ${MAX_CHUNK_BYTES} are read`,
        "write it with smaller row groups",
      );
    }
    let rows: readonly Record<string, unknown>[];
    try {
      rows = await parquetReadObjects({
        file: buffer(this.file, this.size),
        metadata,
        columns: [column],
        rowStart,
        rowEnd,
        compressors,
      });
    } catch (problem) {
      throw asDataError(path, problem, `${where} cannot be decoded`);
    }
    if (rows.length !== rowEnd - rowStart) {
      throw new DataError(path, `${where} has ${rows.length} of ${rowEnd - rowStart} rows`, REMEDY);
    }
    return rows.map(({ [column]: text }, row) => {
      if (typeof text === "string") return text;
      throw new DataError(path, `row ${rowStart + row} has no text in the column ${column}`, REMEDY);
    });
  }

  /** Closes the file. */
  close(): void {
    this.file.close();
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function requireText(path: string, column: string, { schema, row_groups }: FileMetaData): void {
  const [, ...fields] = schema;
  const field = fields.find(({ name }) => name === column);
  if (!field) {
    const names = fields.slice(0, 12).map(({ name }) => name).join(", ");
    throw new DataError(path, `has no column ${column} (it has: ${names || "none"})`, REMEDY);
  }
  if (field.type !== "BYTE_ARRAY") throw new DataError(path, `its column ${column} is no text`, REMEDY);
  if (row_groups.length === 0) throw new DataError(path, "has no rows", REMEDY);
}

/** Reads windows of the file. */
function buffer(file: Deno.FsFile, byteLength: number) {
  return {
    byteLength,
    slice(start: number, end = byteLength): ArrayBuffer {
      if (!(start >= 0 && end >= start && end <= byteLength)) {
        throw new Error(`bytes ${start} to ${end} of ${byteLength} are asked for`);
      }
      const bytes = new Uint8Array(end - start);
      file.seekSync(start, Deno.SeekMode.Start);
      for (let done = 0; done < bytes.length;) {
        const read = file.readSync(bytes.subarray(done));
        if (read === null) throw new Error("it ends too early");
        done += read;
      }
      return bytes.buffer;
    },
  };
}

function asDataError(
  path: string,
  problem: unknown,
  what = "is no parquet file that can be read",
): DataError {
  return problem instanceof DataError
    ? problem
    : new DataError(path, `${what} (${describe(problem)})`, REMEDY);
}

function describe(problem: unknown): string {
  return (problem instanceof Error ? problem.message : String(problem)).split("\n")[0];
}
