// The documents of the API, as divvyd writes them. Nothing here is decided or computed; a word that this
// version does not know is text like any other.

export type Mode = 'partitioned' | 'partitionable' | 'dda' | 'host' | 'not_assignable' | 'unknown';
export type PartitionState = 'free' | 'assigned' | 'in_use' | 'releasing' | 'quarantined' | 'unknown';
export type Power = 'off' | 'running' | 'paused' | 'unknown';
export type Severity = 'info' | 'warning' | 'needs_accept' | 'error' | 'unknown';
export type SubjectKind = 'cluster' | 'server' | 'gpu' | 'partition' | 'vm' | 'unknown';
export type Progress = 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface Gpu {
  id: string;
  name: string;
  server: string;
  vendor: string;
  model: string;
  memory_bytes: number | null;
  pci_address: string;
  numa_node: number | null;
  serial: string | null;
  driver: string | null;
  driver_version: string | null;
  ecc: boolean | null;
  mode: Mode;
  reason: string | null;
  scheme: string | null;
  partition_count: number | null;
  /** By index, where the partitions are not equal: each as large as one of so many equal ones. */
  sizes?: number[] | null;
  /** Partitions of different sizes can be asked for. */
  takes_sizes?: boolean;
  valid_partition_counts: number[];
  max_partitions: number | null;
  free_partitions: number | null;
  memory_per_partition_bytes: number | null;
  memory_by_count: { partition_count: number; memory_per_partition_bytes: number | null }[];
  /** Address space that a VM needs for it as a whole. */
  mmio_bytes: number | null;
  /** The pool whose GPUs are given whole, if it is in one. */
  pool: string | null;
  findings: number;
}

export interface Partition {
  id: string;
  gpu: string;
  server: string;
  index: number;
  memory_bytes: number | null;
  state: PartitionState;
  vm: string | null;
  vm_name: string | null;
  reason: string | null;
}

export interface Assignment {
  kind: string;
  /** Null while it has none. */
  gpu: string | null;
  /** More than one only where the VM has them whole. */
  gpus: string[];
  partition: string | null;
  /** Of which its GPUs are picked at each start; null where it keeps what it has. */
  pool: string | null;
  /** How many of the pool. */
  count: number | null;
  state: 'assigned' | 'waiting_for_start' | 'starting' | 'unknown';
}

export interface Vm {
  id: string;
  name: string;
  server: string;
  power: Power;
  managed: boolean;
  assignment: Assignment | null;
  guest_os: string | null;
  findings: number;
}

export interface PoolGpu {
  id: string;
  server: string;
  model: string | null;
  /** Null while the GPU is not in its server. */
  pci_address: string | null;
  /** Can be given to a VM now. */
  free: boolean;
  vm: string | null;
  vm_name: string | null;
}

/** GPUs of any servers that are given whole. */
export interface Pool {
  name: string;
  gpus: PoolGpu[];
  /** How many VMs get at their start; may be more than there are. */
  promised: number;
}

export interface Subject {
  kind: SubjectKind;
  id: string | null;
}

export interface Finding {
  code: string;
  severity: Severity;
  subject: Subject;
  text: string;
  mend: string;
}

/** Something that happened. */
export interface Happening {
  number: number;
  at_ms: number;
  code: string;
  server: string | null;
  subject: Subject;
  text: string;
  principal: string | null;
  job: number | null;
}

export interface JobStep {
  text: string;
  outcome: string;
  at_ms: number;
}

export interface JobTarget {
  server: string;
  gpu: string | null;
  /** GPUs that a VM gets or gives back whole. */
  gpus: string[];
  vm: string | null;
  vm_name: string | null;
  partition: string | null;
  partition_count: number | null;
  /** What the count is made up of, where the partitions shall not be equal. */
  sizes?: number[] | null;
  progress: Progress;
  steps: JobStep[];
  detail: string | null;
  hint: string | null;
}

export interface Job {
  id: number;
  kind: string;
  principal: string;
  created_ms: number;
  finished_ms: number | null;
  progress: Progress;
  targets: JobTarget[];
}

/** Something that goes wrong in a simulated room. */
export interface Fault {
  fault: string;
}

/** Somebody who is told of events over HTTP. */
export interface Webhook {
  url: string;
  /** Empty: every event. */
  codes: string[];
  state: string;
  waiting: number;
  skipped: number;
  failing_since_ms: number | null;
  last_error: string | null;
  last_delivered_at_ms: number | null;
}

/** What came of a test event. */
export interface WebhookTest {
  url: string;
  delivered: boolean;
  status: number | null;
  took_ms: number;
  error: string | null;
}

export interface Version {
  version: string;
  server: string;
  room: string | null;
}

export interface Explanation {
  subject: Subject;
  sentences: string[];
  findings: Finding[];
}

export interface PlanStep {
  server: string;
  text: string;
}

export interface Plan {
  steps: PlanStep[];
  warnings: Finding[];
}

export interface Accepted {
  job: Job | null;
  warnings: Finding[];
}

/** Why something was not done (RFC 9457). */
export interface Problem {
  status: number | null;
  code: string;
  detail: string;
  hint: string | null;
  findings: Finding[];
}

/** Who is signed in. */
export interface Session {
  user: string;
  csrf?: string | null;
  expires_ms?: number | null;
}
