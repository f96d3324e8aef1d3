/* The most multiply-accumulates a second that the cores give: independent sums that never leave the registers.
 *
 * cc -O3 -march=native -ffp-contract=fast -pthread peak.c -o peak && ./peak THREADS
 *
 * Each thread counts its own processor time, so that other programs take nothing from the figure, and keeps the best of
 * many short stretches. Prints one JSON object: billions a second by precision, of all threads together. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define REGISTER "v"
#elif defined(__aarch64__)
#include <arm_neon.h>
#define REGISTER "w"
#else
#error "no vector registers are known for this processor"
#endif

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

#define CHAINS 12 /* sums that do not wait for one another: latency times units of the cores we know, or more */
#define STEPS 200000
#define STRETCHES 60
#define MOST_THREADS 1024

typedef float floats __attribute__((vector_size(BYTES)));

/* Keep the compiler from dropping a value, knowing it, or merging the chains. */
#define HOLD(value) __asm__ volatile("" : "+" REGISTER(value))

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

/* Define NAME, which returns billions of multiply-accumulates a second. STEP makes the next SUM of SUM, X and Y. */
#define LOOP(NAME, SUMS, START, OPERANDS, X, Y, MACS, STEP)            \
  static double NAME(void) {                                           \
    double best = 0;                                                   \
    OPERANDS x = X, y = Y;                                             \
    HOLD(x);                                                           \
    HOLD(y);                                                           \
    for (int stretch = 0; stretch < STRETCHES; stretch++) {            \
      SUMS sums[CHAINS];                                               \
      for (int i = 0; i < CHAINS; i++) sums[i] = START;                \
      double spent = -seconds();                                       \
      for (int n = 0; n < STEPS; n++) {                                \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) {    \
          SUMS sum = sums[i];                                          \
          sums[i] = STEP;                                              \
          HOLD(sums[i]);                                               \
        }                                                              \
      }                                                                \
      spent += seconds();                                              \
      double rate = (double)STEPS * CHAINS * (MACS) / spent / 1e9;     \
      if (rate > best) best = rate;                                    \
    }                                                                  \
    return best;                                                       \
  }

static floats all(float value) {
  floats found;
  for (int i = 0; i < BYTES / 4; i++) found[i] = value;
  return found;
}

LOOP(float32, floats, all(1), floats, all(0.999f), all(0.5f), BYTES / 4, sum * x + y)

#if defined(__AVX512VNNI__)
#define INT8
LOOP(int8, __m512i, _mm512_setzero_si512(), __m512i, _mm512_set1_epi8(3), _mm512_set1_epi8(1), 64,
     _mm512_dpbusd_epi32(sum, x, y))
#elif defined(__AVXVNNI__)
#define INT8
LOOP(int8, __m256i, _mm256_setzero_si256(), __m256i, _mm256_set1_epi8(3), _mm256_set1_epi8(1), 32,
     _mm256_dpbusd_avx_epi32(sum, x, y))
#elif defined(__AVX2__) /* pairs to 16 bits, those to 32 bits, and the addition */
#define INT8
static __m256i multiply_add(__m256i sum, __m256i x, __m256i y) {
  HOLD(x); /* or the product would be computed once */
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, y), _mm256_set1_epi16(1)));
}
LOOP(int8, __m256i, _mm256_setzero_si256(), __m256i, _mm256_set1_epi8(3), _mm256_set1_epi8(1), 32,
     multiply_add(sum, x, y))
#elif defined(__ARM_FEATURE_MATMUL_INT8)
#define INT8
LOOP(int8, int32x4_t, vdupq_n_s32(0), int8x16_t, vdupq_n_s8(3), vdupq_n_s8(1), 32, vmmlaq_s32(sum, x, y))
#elif defined(__ARM_FEATURE_DOTPROD)
#define INT8
LOOP(int8, int32x4_t, vdupq_n_s32(0), int8x16_t, vdupq_n_s8(3), vdupq_n_s8(1), 16, vdotq_s32(sum, x, y))
#elif defined(__aarch64__) /* Cortex-A53 and A72: 16-bit operands into 32-bit sums */
#define INT8
LOOP(int8, int32x4_t, vdupq_n_s32(0), int16x8_t, vdupq_n_s16(3), vdupq_n_s16(1), 4,
     vmlal_s16(sum, vget_low_s16(x), vget_low_s16(y)))
#endif

#if defined(__AVX512BF16__)
#define BFLOAT16
LOOP(bfloat16, __m512, _mm512_setzero_ps(), __m512i, _mm512_set1_epi16(0x3f80), _mm512_set1_epi16(0x3f80), 32,
     _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y))
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define BFLOAT16
LOOP(bfloat16, float32x4_t, vdupq_n_f32(0), bfloat16x8_t, vreinterpretq_bf16_u16(vdupq_n_u16(0x3f80)),
     vreinterpretq_bf16_u16(vdupq_n_u16(0x3f80)), 16, vbfmmlaq_f32(sum, x, y))
#endif

#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
#define FLOAT16
LOOP(float16, float16x8_t, vdupq_n_f16(1), float16x8_t, vdupq_n_f16(0.5), vdupq_n_f16(0.5), 8, vfmaq_f16(y, sum, x))
#endif

static const struct {
  const char *name;
  double (*rate)(void);
} KINDS[] = {
    {"float32", float32},
#ifdef INT8
    {"int8", int8},
#endif
#ifdef BFLOAT16
    {"bfloat16", bfloat16},
#endif
#ifdef FLOAT16
    {"float16", float16},
#endif
};

static void *run(void *rate) {
  double *found = malloc(sizeof *found);
  if (found) *found = (*(double (**)(void))rate)();
  return found;
}

int main(int count, char **words) {
  int threads = count > 1 ? atoi(words[1]) : 1;
  if (threads < 1 || threads > MOST_THREADS) return 2;
  for (size_t kind = 0; kind < sizeof KINDS / sizeof *KINDS; kind++) {
    pthread_t started[MOST_THREADS];
    double total = 0;
    for (int i = 0; i < threads; i++)
      if (pthread_create(&started[i], NULL, run, (void *)&KINDS[kind].rate)) return 1;
    for (int i = 0; i < threads; i++) {
      void *found = NULL;
      if (pthread_join(started[i], &found) || !found) return 1;
      total += *(double *)found;
      free(found);
    }
    printf("%s\"%s\": %.2f", kind ? ", " : "{", KINDS[kind].name, total);
  }
  puts("}");
  return 0;
}
