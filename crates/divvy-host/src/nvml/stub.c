/* A library that answers like NVML for one GPU at 0000:41:00.0 with one partition in use, for tests. It
 * writes what happens to it into LOG; with HANGS_UNTIL it starts no sooner than that file is there. Signatures: nvml.h of NVIDIA's driver. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };

static void note(const char *what) {
    FILE *log = fopen(LOG, "a");
    if (log) {
        fprintf(log, "%s\n", what);
        fclose(log);
    }
}

static int give(const char *text, char *to, unsigned bytes) {
    if (strlen(text) >= bytes)
        return TOO_SMALL;
    strcpy(to, text);
    return OK;
}

int nvmlInit_v2(void) {
#ifdef HANGS_UNTIL
    while (access(HANGS_UNTIL, F_OK) != 0)
        usleep(1000);
#endif
    note("init");
    return OK;
}
int nvmlShutdown(void) { note("shutdown"); return OK; }
int nvmlSystemGetDriverVersion(char *to, unsigned bytes) { return give("580.65.05", to, bytes); }

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **gpu) {
    static int only;
    if (strcmp(address, "0000:41:00.0") != 0)
        return NOT_FOUND;
    *gpu = &only;
    return OK;
}

int nvmlDeviceGetSerial(void *gpu, char *to, unsigned bytes) { (void)gpu; return give("1320000000001", to, bytes); }
int nvmlDeviceGetUUID(void *gpu, char *to, unsigned bytes) { (void)gpu; return give("GPU-1", to, bytes); }

struct memory { unsigned version; unsigned long long total, reserved, available, used; };
int nvmlDeviceGetMemoryInfo_v2(void *gpu, struct memory *memory) {
    (void)gpu;
    memory->total = 15356ull << 20;
    memory->reserved = 400ull << 20;
    memory->used = 1024ull << 20;
    memory->available = memory->total - memory->reserved - memory->used;
    return OK;
}

struct use { unsigned gpu, memory; };
int nvmlDeviceGetUtilizationRates(void *gpu, struct use *use) { (void)gpu; use->gpu = 37; use->memory = 5; return OK; }
int nvmlDeviceGetEccMode(void *gpu, int *now, int *pending) { (void)gpu; *now = 1; *pending = 0; return OK; }

struct scheduler { unsigned policy, arr_mode, parameters[2]; };
int nvmlDeviceGetVgpuSchedulerState(void *gpu, struct scheduler *state) { (void)gpu; (void)state; return NOT_SUPPORTED; }

int nvmlDeviceGetActiveVgpus(void *gpu, unsigned *count, unsigned *list) {
    (void)gpu;
    unsigned room = *count;
    *count = 1;
    if (room < 1 || !list)
        return TOO_SMALL;
    list[0] = 7;
    return OK;
}

int nvmlVgpuInstanceGetVmID(unsigned which, char *to, unsigned bytes, int *kind) {
    (void)which;
    *kind = 1;
    return give("0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f", to, bytes);
}
int nvmlVgpuInstanceGetFbUsage(unsigned which, unsigned long long *bytes) { (void)which; *bytes = 512ull << 20; return OK; }
