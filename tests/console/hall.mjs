// A hundred servers with 8 GPUs of 32 partitions each, as the API tells of them. No divvyd has them: the
// lists are answered in its place, and what is asked of a thing in them is not.

export const SERVERS = 100;
const GPUS = 8;
const PARTITIONS = 32;

const serverNames = Array.from({ length: SERVERS }, (_, nth) => `server-${nth + 1}`);
const gpus = serverNames.flatMap((server) => Array.from({ length: GPUS }, (_, nth) => ({
  id: `gpu-${server}-${nth}`, name: `${server}/0000:4${nth}:00.0`, server, vendor: 'NVIDIA', model: 'A40', memory_bytes: 48 * 2 ** 30,
  pci_address: `0000:4${nth}:00.0`, numa_node: 0, serial: `${server}${nth}`, driver: 'simgpu', driver_version: '1', mode: 'partitioned',
  reason: 'split into 32 partitions', scheme: 'sriov', partition_count: PARTITIONS, valid_partition_counts: [1, 2, 4, 8, 16, 32],
  max_partitions: PARTITIONS, free_partitions: PARTITIONS / 2, memory_per_partition_bytes: 1.5 * 2 ** 30,
  memory_by_count: [1, 2, 4, 8, 16, 32].map((many) => ({ partition_count: many, memory_per_partition_bytes: (48 * 2 ** 30) / many })), mmio_bytes: 2 ** 36, findings: 0,
})));
const partitions = gpus.flatMap((gpu) => Array.from({ length: PARTITIONS }, (_, index) => {
  const isTaken = index % 2 === 0;
  return {
    id: `${gpu.id}.${index}`, gpu: gpu.id, server: gpu.server, index, memory_bytes: 1.5 * 2 ** 30, state: isTaken ? 'assigned' : 'free',
    vm: isTaken ? `id-${gpu.id}-${index}` : null, vm_name: isTaken ? `vm-${index}` : null, reason: null,
  };
}));
const vms = gpus.flatMap((gpu) => Array.from({ length: PARTITIONS }, (_, index) => ({
  id: `id-${gpu.id}-${index}`, name: `vm-${gpu.id}-${index}`, server: gpu.server, power: 'off', managed: index % 2 === 0,
  assignment: index % 2 === 0 ? { kind: 'partition', gpu: gpu.id, partition: `${gpu.id}.${index}` } : null, guest_os: null, findings: 0,
})));

/** From now on the page reads these lists instead of the server's. */
export async function tellOfHall(page) {
  for (const [path, list] of [['gpus', gpus], ['partitions', partitions], ['vms', vms]]) {
    const body = JSON.stringify(list);
    await page.route(`**/v1/${path}`, (route) => route.fulfill({ contentType: 'application/json', body }));
  }
}
