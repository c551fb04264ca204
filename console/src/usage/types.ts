// What GPUs and partitions use, as divvyd tells it. These values change by themselves and are in no stream of
// changes.

export interface PartitionUsage {
  partition: string;
  vm: string | null;
  vm_name: string | null;
  memory_bytes: number | null;
  memory_used_bytes: number | null;
  utilization_percent: number | null;
  encoder_utilization_percent: number | null;
  decoder_utilization_percent: number | null;
  encoder_capacity_percent: number | null;
  multiprocessors: number | null;
  encoders: number | null;
  decoders: number | null;
}

export interface Usage {
  gpu: string;
  server: string;
  at_ms: number | null;
  memory_bytes: number | null;
  memory_used_bytes: number | null;
  utilization_percent: number | null;
  encoder_utilization_percent: number | null;
  decoder_utilization_percent: number | null;
  encoder_capacity_percent: number | null;
  ecc: boolean | null;
  scheduler: string | null;
  reason: string | null;
  partitions: PartitionUsage[];
}
