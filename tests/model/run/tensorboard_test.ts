/**
 * Event files, byte for byte as TensorBoard's own writer makes them. The expected bytes come from TensorBoard 2.20:
 * `RecordWriter(file).write(Event(wall_time=…, …).SerializeToString())`.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { crc32c, type EventContents, eventRecord, FILE_VERSION } from "../../../model/run/tensorboard.ts";

const RECORDS: [name: string, seconds: number, contents: EventContents, expected: string][] = [
  [
    "the first event of a file",
    1234.5,
    { fileVersion: FILE_VERSION },
    "1800000000000000a37f4b220900000000004a93401a0d627261696e2e4576656e743a3265b8d3fb",
  ],
  [
    "the start of a session, which makes TensorBoard drop later steps of older files",
    1234.5,
    { step: 300, isSessionStart: true },
    "100000000000000095fbfe180900000000004a934010ac023a02080160cea677",
  ],
  [
    "scalars",
    2.25,
    { step: 7, summaries: [{ tag: "train/loss", value: 2.5 }, { tag: "x", value: -1e-3 }] },
    "2a00000000000000ae8d91f509000000000000024010072a1d0a110a0a747261696e2f6c6f737315000020400a080a0178156f1283baaceb71c3",
  ],
  [
    "a text",
    2.25,
    { step: 7, summaries: [{ tag: "sample", value: "Größe" }] },
    "36000000000000004f578cef09000000000000024010072a290a270a0673616d706c654211080712041202080142074772c3b6c39f65" +
    "4a0a0a060a04746578742002e3dcc3a3",
  ],
];

for (const [name, seconds, contents, expected] of RECORDS) {
  Deno.test(`${name} is written as TensorBoard writes it`, () => {
    assertEquals(eventRecord(seconds, contents).toHex(), expected);
  });
}

Deno.test("the checksum is CRC-32C, by its published check value", () => {
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
});
