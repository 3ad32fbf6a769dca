// Hides AVX-512 and AMX from a library that asks the processor by CPUID and XGETBV. Each such instruction is replaced
// by one that is not allowed. The handler of its signal executes the original and clears the bits.

#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { MOST = 1024 };
static uintptr_t places[MOST];
static int is_xgetbv[MOST], count;

// CPUID leaf 7: AVX-512 and its parts, and AMX.
static const uint32_t EBX = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31;
static const uint32_t ECX = 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14;
static const uint32_t EDX = 1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
static const uint32_t EAX_OF_1 = 1u << 4 | 1u << 5 | 1u << 21;  // AVX-VNNI, BF16, AMX-FP16
static const uint32_t STATES = 0xE0;                              // of the 512-bit registers

static void answer(int signal_number, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  for (int i = 0; i < count; i++) {
    if (places[i] != (uintptr_t)r[REG_RIP]) continue;
    uint32_t a = r[REG_RAX], b = 0, c = r[REG_RCX], d = 0, leaf = a, part = c;
    if (is_xgetbv[i]) {
      __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(c));
      a &= ~STATES;
    } else {
      __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
      if (leaf == 7 && part == 0) { b &= ~EBX; c &= ~ECX; d &= ~EDX; }
      if (leaf == 7 && part == 1) a &= ~EAX_OF_1;
      r[REG_RBX] = b;
      r[REG_RCX] = c;
    }
    r[REG_RAX] = a;
    r[REG_RDX] = d;
    r[REG_RIP] += is_xgetbv[i] ? 3 : 2;
    return;
  }
  signal(SIGILL, SIG_DFL);  // somebody else's illegal instruction
}

// The library begins at `base`; at each of the `n` offsets it has a CPUID, or an XGETBV where `xgetbv` is not zero.
void hide(uintptr_t base, const uint64_t *offsets, const int *xgetbv, int n) {
  struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGILL, &action, 0);
  uintptr_t page = sysconf(_SC_PAGESIZE);
  for (int i = 0; i < n && count < MOST; i++) {
    unsigned char *place = (unsigned char *)(base + offsets[i]);
    void *start = (void *)((uintptr_t)place & ~(page - 1));
    places[count] = (uintptr_t)place;
    is_xgetbv[count++] = xgetbv[i];
    mprotect(start, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC);
    place[0] = 0x0F;  // UD2
    place[1] = 0x0B;
    mprotect(start, 2 * page, PROT_READ | PROT_EXEC);
  }
}
