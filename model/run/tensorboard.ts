/**
 * TensorBoard's event files: TFRecords of `Event` messages in protocol buffers' wire format. Of both formats only what scalars and
 * texts need is written, which is less than any library for them.
 *
 * Layouts are those of TensorFlow's `record_writer.cc`, `event.proto` and `summary.proto`.
 *
 * @module
 */
import { concat } from "@std/bytes";

type Bytes = Uint8Array<ArrayBuffer>;

/** A number or a text under a tag. */
export interface Summary {
  readonly tag: string;
  readonly value: number | string;
}

/** What an event says besides its time. */
export interface EventContents {
  readonly step?: number;
  /** First event of every file. */
  readonly fileVersion?: string;
  readonly summaries?: readonly Summary[];
  /** The run goes on here: whatever an earlier file says of this step and later ones does not count. */
  readonly isSessionStart?: boolean;
}

/** The version that the first event of a file names. */
export const FILE_VERSION = "brain.Event:2";

/** An event as a record of a file. `seconds`: since 1970. */
export function eventRecord(seconds: number, contents: EventContents): Bytes {
  return record(event(seconds, contents));
}

/** Length, its checksum, data, their checksum. */
function record(data: Bytes): Bytes {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(data.length), true);
  return concat([length, checksum(length), data, checksum(data)]);
}

/** CRC-32C, rotated and shifted so that checksums of checksums do no harm. */
function checksum(data: Bytes): Bytes {
  const crc = crc32c(data);
  const masked = ((crc >>> 15 | crc << 17) + 0xa282ead8) >>> 0;
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, masked, true);
  return bytes;
}

/** Castagnoli's polynomial, bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** CRC-32C of bytes. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = crc >>> 8 ^ CRC_TABLE[(crc ^ byte) & 0xff];
  return (crc ^ 0xffffffff) >>> 0;
}

function event(seconds: number, { step, fileVersion, summaries, isSessionStart }: EventContents): Bytes {
  return concat([
    double(1, seconds),
    ...step !== undefined ? [varintField(2, step)] : [],
    ...fileVersion !== undefined ? [text(3, fileVersion)] : [],
    ...summaries ? [message(5, summaries.map((summary) => message(1, summaryValue(summary))))] : [],
    ...isSessionStart ? [message(7, [varintField(1, SESSION_START)])] : [],
  ]);
}

/** `SessionLog.START`. */
const SESSION_START = 1;
/** `DT_STRING`. */
const STRING_TYPE = 7;
/** `DATA_CLASS_TENSOR`. */
const TENSOR_CLASS = 2;

function summaryValue({ tag, value }: Summary): Bytes[] {
  if (typeof value === "number") return [text(1, tag), float(2, value)];
  const shape = message(2, [message(2, [varintField(1, 1)])]);
  const tensor = message(8, [varintField(1, STRING_TYPE), shape, text(8, value)]);
  const metadata = message(9, [message(1, [text(1, "text")]), varintField(4, TENSOR_CLASS)]);
  return [text(1, tag), tensor, metadata];
}

/** Wire types of protocol buffers. */
const [VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES] = [0, 1, 2, 5];

function varint(value: number): Bytes {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return Uint8Array.from([...bytes, value]);
}

const key = (field: number, wire: number) => varint(field << 3 | wire);
const varintField = (field: number, value: number) => concat([key(field, VARINT), varint(value)]);
const delimited = (field: number, data: Bytes) => concat([key(field, DELIMITED), varint(data.length), data]);
const message = (field: number, parts: readonly Bytes[]) => delimited(field, concat([...parts]));
const text = (field: number, value: string) => delimited(field, new TextEncoder().encode(value));

function double(field: number, value: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return concat([key(field, EIGHT_BYTES), bytes]);
}

function float(field: number, value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concat([key(field, FOUR_BYTES), bytes]);
}
