/* A library that answers like NVML for one GPU at 0000:41:00.0 with partitions in use, for tests. It writes
 * what happens to it into LOG; with HANGS_UNTIL it starts no sooner than that file is there. Signatures:
 * nvml.h of NVIDIA's driver. What else can be said when it is compiled:
 *
 *   VGPUS=n        so many partitions are in use, numbered 7, 8, ...; 1 unless it is said
 *   GROWS          one more comes between the question how many there are and the one for the list
 *   UTILIZATION=n  the answer to how busy they are: an error
 *   FORGETS        nothing happened since the moment that is asked about
 *   MIG            they have hardware of their own
 *   SCHEDULER=n    the policy of the scheduler
 *   NO_MEDIA       it tells nothing of encoders and decoders
 *   UNLIKE         the pieces of hardware are not the same */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { FIRST = 7 };

#ifndef VGPUS
#define VGPUS 1
#endif
#ifdef GROWS
enum { SAID = VGPUS - 1 };
#else
enum { SAID = VGPUS };
#endif

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

#ifndef NO_MEDIA
static int busy(unsigned percent, unsigned *to, unsigned *every_us) { *to = percent; *every_us = 167000; return OK; }
int nvmlDeviceGetEncoderUtilization(void *gpu, unsigned *to, unsigned *every_us) { (void)gpu; return busy(12, to, every_us); }
int nvmlDeviceGetDecoderUtilization(void *gpu, unsigned *to, unsigned *every_us) { (void)gpu; return busy(8, to, every_us); }
int nvmlDeviceGetEncoderCapacity(void *gpu, int codec, unsigned *to) { (void)gpu; *to = 88; return codec == 0 ? OK : NOT_SUPPORTED; }
int nvmlVgpuInstanceGetEncoderCapacity(unsigned which, unsigned *to) { (void)which; *to = 50; return OK; }
#endif

struct scheduler { unsigned policy, arr_mode, parameters[2]; };
int nvmlDeviceGetVgpuSchedulerState(void *gpu, struct scheduler *state) {
    (void)gpu;
#ifdef SCHEDULER
    state->policy = SCHEDULER;
    return OK;
#else
    (void)state;
    return NOT_SUPPORTED;
#endif
}

/* Says how many there are, or how many there is too little room for. */
static int has_room(unsigned *count, const void *list) {
    unsigned room = *count;
    *count = list ? VGPUS : SAID;
    return list && room >= VGPUS;
}

int nvmlDeviceGetActiveVgpus(void *gpu, unsigned *count, unsigned *list) {
    (void)gpu;
    if (!has_room(count, list))
        return TOO_SMALL;
    for (unsigned nth = 0; nth < VGPUS; nth++)
        list[nth] = FIRST + nth;
    return OK;
}

int nvmlVgpuInstanceGetVmID(unsigned which, char *to, unsigned bytes, int *kind) {
    char text[40] = "0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f";
    text[0] = (char)('0' + which - FIRST);
    *kind = 1;
    return give(text, to, bytes);
}
int nvmlVgpuInstanceGetFbUsage(unsigned which, unsigned long long *bytes) { (void)which; *bytes = 512ull << 20; return OK; }

union value { double d; unsigned u; unsigned long long ull; };
struct sample { unsigned vgpu; unsigned long long at; union value busy, memory, encoder, decoder; };
enum { UNSIGNED_INT = 1, NOT_KNOWN = 0xffffffff };

/* The first one is busy by 21 percent and decodes by 4, the second one not known, the third one was never
 * looked at. */
int nvmlDeviceGetVgpuUtilization(void *gpu, unsigned long long since, int *kind, unsigned *count, struct sample *list) {
    (void)gpu;
#ifdef UTILIZATION
    (void)since, (void)kind, (void)count, (void)list;
    return UTILIZATION;
#else
    char line[64];
    snprintf(line, sizeof line, "since %llu", since);
#ifdef FORGETS
    if (list || since)
        note(line);
    if (since)
        return NOT_FOUND;
#endif
    if (!has_room(count, list))
        return TOO_SMALL;
    *kind = UNSIGNED_INT;
    memset(list, 0xee, VGPUS * sizeof *list);
    for (unsigned nth = 0; nth < VGPUS; nth++) {
        list[nth].vgpu = FIRST + nth;
        list[nth].at = nth == 2 ? 0 : 1000 + nth;
        list[nth].busy.u = nth == 1 ? NOT_KNOWN : 21;
        list[nth].encoder.u = nth == 1 ? NOT_KNOWN : 0;
        list[nth].decoder.u = nth == 1 ? NOT_KNOWN : 4;
    }
    return OK;
#endif
}

#ifdef MIG
/* The pieces of hardware are numbered from 1; a reading is the number of its piece. */
int nvmlDeviceGetMigMode(void *gpu, unsigned *now, unsigned *pending) { (void)gpu; *now = 1; *pending = 1; return OK; }
int nvmlVgpuInstanceGetGpuInstanceId(unsigned which, unsigned *piece) { *piece = which - FIRST + 1; return OK; }

struct support { unsigned version, is_supported; };
int nvmlGpmQueryDeviceSupport(void *gpu, struct support *support) { (void)gpu; support->is_supported = 1; return OK; }
int nvmlGpmSampleAlloc(unsigned **sample) { static unsigned of[16]; static int next; *sample = &of[next++ % 16]; return OK; }
int nvmlGpmSampleFree(unsigned *sample) { (void)sample; return OK; }
int nvmlGpmMigSampleGet(void *gpu, unsigned piece, unsigned *sample) { (void)gpu; *sample = piece; return OK; }

struct metric { unsigned id; int answer; double value; char *texts[3]; };
struct metrics { unsigned version, count; unsigned *before, *after; struct metric list[]; };
int nvmlGpmMetricsGet(struct metrics *metrics) {
    for (unsigned nth = 0; nth < metrics->count; nth++) {
        struct metric *metric = &metrics->list[nth];
        int is_told = *metrics->before == 1 && *metrics->after == 1 && nth < 3;
        metric->answer = is_told ? OK : NOT_SUPPORTED;
        metric->value = nth == 0 ? 63.6 : nth == 1 ? 10.4 : 0.0;
    }
    return OK;
}

/* A handle of a piece is where its number stands. Room for seven, and the third is missing. */
struct attributes { unsigned multiprocessors, copiers, decoders, encoders, jpegs, flows, slices, computing; unsigned long long mib; };
static unsigned piece[7] = {0, 1, 2, 3, 4, 5, 6};
int nvmlDeviceGetMaxMigDeviceCount(void *gpu, unsigned *count) { (void)gpu; *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *gpu, unsigned nth, void **handle) {
    (void)gpu;
    *handle = &piece[nth];
    return nth == 2 ? NOT_FOUND : OK;
}
int nvmlDeviceGetAttributes_v2(unsigned *handle, struct attributes *to) {
    memset(to, 0, sizeof *to);
    to->multiprocessors = 16;
    to->decoders = 1;
#ifdef UNLIKE
    to->multiprocessors += *handle;
#else
    (void)handle;
#endif
    return OK;
}
#endif
