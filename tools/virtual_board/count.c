/*
 * Counts the A64 instructions that a program executes under qemu-user, in all and by kind.
 *
 * A plugin of QEMU's plugin interface, version 1 (QEMU 7.2). The emulator hands over each block of guest code once,
 * when it translates it; the kinds in a block are counted then, and every execution adds them to the totals.
 * The totals are plain additions without locks: let the program run one thread.
 *
 * The guest marks a place in its run with close(MARK + k), which fails harmlessly everywhere. Each mark and the end
 * of the process write one line of JSON with the totals so far to the file named by the argument out=PATH.
 *
 * Encodings are those of the Arm Architecture Reference Manual, section C4.1 (top-level groups) and C7.2 (vectors).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MARK 0x5E6F0000u
#define CLOSE_SYSTEM_CALL 57
#define EXPORT __attribute__((visibility("default")))

/* The part of QEMU's interface that is used here. */
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { ADD_U64 = 0 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t,
                                                              uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                              uint64_t));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

enum kind { ALL, LOAD_STORE, BRANCH, VECTOR, DOT_INT8, MATRIX_INT8, MLA_INT, MLA_F32, MLA_F16, KINDS };
static const char *const names[KINDS] = {
    "instructions", "load_store", "branch", "vector", "dot_int8", "matrix_int8", "mla_int", "mla_f32", "mla_f16",
};

struct encoding {
    uint32_t mask, value;
    enum kind kind;
};

/* The four top-level groups that matter, by bits 28 to 25. */
static const struct encoding groups[] = {
    {0x0a000000, 0x08000000, LOAD_STORE}, /* x1x0: loads and stores */
    {0x1c000000, 0x14000000, BRANCH}, /* 101x: branches, exceptions, system */
    {0x0e000000, 0x0e000000, VECTOR}, /* x111: scalar floating point and vectors */
};

/* Multiply-accumulate, the work of a network; each is within VECTOR. */
static const struct encoding multiplications[] = {
    {0x9fe0fc00, 0x0e809400, DOT_INT8},    /* SDOT, UDOT */
    {0x9fc0f400, 0x0f80e000, DOT_INT8},    /* SDOT, UDOT by element */
    {0xbfe0fc00, 0x0e809c00, DOT_INT8},    /* USDOT */
    {0xbf40f400, 0x0f00f000, DOT_INT8},    /* USDOT, SUDOT by element */
    {0xdfe0fc00, 0x4e80a400, MATRIX_INT8}, /* SMMLA, UMMLA */
    {0xffe0fc00, 0x4e80ac00, MATRIX_INT8}, /* USMMLA */
    {0xbfa0fc00, 0x0e20cc00, MLA_F32},     /* FMLA */
    {0xbf80f400, 0x0f801000, MLA_F32},     /* FMLA by element */
    {0xbfe0fc00, 0x0e400c00, MLA_F16},     /* FMLA of halves */
    {0xbfc0f400, 0x0f001000, MLA_F16},     /* FMLA of halves by element */
    {0xbf20fc00, 0x0e209400, MLA_INT},     /* MLA */
    {0xbf00f400, 0x2f000000, MLA_INT},     /* MLA by element */
    {0x9f20fc00, 0x0e208000, MLA_INT},     /* SMLAL, UMLAL */
    {0x9f00f400, 0x0f002000, MLA_INT},     /* SMLAL, UMLAL by element */
    {0x9f20fc00, 0x0e20c000, MLA_INT},     /* SMULL, UMULL */
    {0x9f00f400, 0x0f00a000, MLA_INT},     /* SMULL, UMULL by element */
};

EXPORT int qemu_plugin_version = 1;
static uint64_t totals[KINDS];
static FILE *out;

static void count(const struct encoding *table, size_t size, uint32_t word, uint64_t *counts)
{
    for (size_t i = 0; i < size; i++) {
        if ((word & table[i].mask) == table[i].value) {
            counts[table[i].kind]++;
            return;
        }
    }
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *block)
{
    uint64_t counts[KINDS] = {0};
    size_t length = qemu_plugin_tb_n_insns(block);
    (void)id;
    for (size_t i = 0; i < length; i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
        counts[ALL]++;
        count(groups, sizeof groups / sizeof *groups, word, counts);
        count(multiplications, sizeof multiplications / sizeof *multiplications, word, counts);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        if (counts[kind])
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &totals[kind], counts[kind]);
    }
}

static void write_totals(int64_t mark)
{
    fprintf(out, "{\"mark\": %" PRId64, mark);
    for (int kind = 0; kind < KINDS; kind++)
        fprintf(out, ", \"%s\": %" PRIu64, names[kind], totals[kind]);
    fputs("}\n", out);
    fflush(out);
}

static void on_system_call(plugin_id id, unsigned cpu, int64_t number, uint64_t first, uint64_t a2, uint64_t a3,
                           uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == CLOSE_SYSTEM_CALL && ((uint32_t)first & 0xffff0000u) == MARK)
        write_totals(first & 0xffff);
}

static void on_exit_of_guest(plugin_id id, void *unused)
{
    (void)id, (void)unused;
    write_totals(-1);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            out = fopen(argv[i] + 4, "a");
    }
    if (out == NULL) {
        fputs("count: give out=PATH of a file that can be written\n", stderr);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    qemu_plugin_register_atexit_cb(id, on_exit_of_guest, NULL);
    return 0;
}
