/** What the page of a program is given: plain data, with places in lists instead of references. */
export interface PageData {
  name: string;
  /** What it was compiled for. */
  target: string;
  mode: string;
  nodes: PageNode[];
  works: PageWork[];
  kernels: PageKernel[];
  roots: PageRoot[];
  memory: { peakBytes: number; lowerBoundBytes: number; naiveBytes: number };
  /** Texts of the files that nodes come from. */
  files: Record<string, string>;
  /** The best rates that the adapter was seen to reach; absent when nothing was measured. */
  ceilings?: { bytesPerSecond: number; flopsPerSecond: number };
}

export interface PageNode {
  id: number;
  op: string;
  text: string;
  inputs: number[];
  scope: string;
  phase: string;
  site?: string;
  /** Work that computes it; -1 where it is computed by its readers. */
  work: number;
  stored: boolean;
}

/** A kernel in its place in the order of execution. */
export interface PageWork {
  name: string;
  kind: string;
  kernel: number;
  launches: number;
  workgroups: number[];
  bytes: number;
  flops: number;
  nodes: number[];
  begins: string[];
  ends: string[];
  reads: string[];
  writes: string[];
  /** Median milliseconds; absent when nothing was measured. */
  ms?: number;
}

export interface PageKernel {
  name: string;
  ir: string;
  wgsl: string;
  workgroupSize: number[];
}

/** A value in the arena. */
export interface PageRoot {
  name: string;
  first: number;
  last: number;
  buffer: number;
  offset: number;
  bytes: number;
  nodes: number[];
}
