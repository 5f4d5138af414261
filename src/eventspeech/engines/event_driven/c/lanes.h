/* Compiled loops of engine `cpu`; the readable reference, with the same results to rounding, is ../numba.

   Columns (neurons) are cut into tiles of 32: the weights into a tile, and a sample's adjoints of a tile, stay in the
   second-level cache, sums stay in registers. Sums run in a fixed order, whatever the number of threads: a caller
   gives each thread its own samples (forward, adjoint) or its own presynaptic units (gather).

   Legend: N steps, K copies of the input (delay line), U presynaptic units, H neurons, P = H rounded up to whole tiles.
   Padded neurons have coefficients 0 and weights 0, so they stay at 0 and never fire. */

#ifndef EVENTSPEECH_LANES_H
#define EVENTSPEECH_LANES_H

#include <stdint.h>
#include <string.h>

#include "../../../compiled.h"

#define TILE 32
#define LANES 16

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float half_vec __attribute__((vector_size(2 * LANES)));
typedef double doubles __attribute__((vector_size(4 * LANES))); /* half a vec's: larger ones would not stay in registers */
typedef int8_t bytes __attribute__((vector_size(LANES)));

#ifdef CHOOSE
#include <immintrin.h>
#endif

INLINE vec at(const float *p) { return *(const vec *)p; }
INLINE void put(float *p, vec v) { *(vec *)p = v; }

/* Store past the caches what is read only after much else: it would drive the weights out of the second-level cache.
   p is aligned to 64 bytes. `streamed` comes before anyone reads. */
#ifdef CHOOSE
INLINE void stream(float *p, vec v)
{
    __m128 quarters[LANES / 4];
    memcpy(quarters, &v, sizeof v);
    for (int i = 0; i < LANES / 4; i++) _mm_stream_ps(p + 4 * i, quarters[i]);
}
INLINE void streamed(void) { _mm_sfence(); }
#else
INLINE void stream(float *p, vec v) { put(p, v); }
INLINE void streamed(void) {}
#endif

INLINE float sum(vec v)
{
    typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
    v += __builtin_shuffle(v, (ivec){8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7});
    v += __builtin_shuffle(v, (ivec){4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3});
    v += __builtin_shuffle(v, (ivec){2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1});
    return v[0] + v[1];
}

/* Run `work` with the number of copies known to the compiler, so that their sums stay in registers. */
#define COPIES 5
#define WITH_COPIES(count, work) \
    switch (count) {             \
    case 1: work(1); break;      \
    case 2: work(2); break;      \
    case 3: work(3); break;      \
    case 4: work(4); break;      \
    default: work(5); break;     \
    }

typedef int32_t mask __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE mask whole(const int32_t *p) { return *(const mask *)p; }
INLINE vec choose(mask which, vec yes, vec no) { return (vec)(((mask)yes & which) | ((mask)no & ~which)); }

INLINE int any(mask which)
{
    int64_t x[LANES / 2], found = 0;
    memcpy(x, &which, sizeof x);
    for (int i = 0; i < LANES / 2; i++) found |= x[i];
    return found != 0;
}

#ifdef CHOOSE
#define V4 __attribute__((target("arch=x86-64-v4")))
#endif

INLINE int has_v4(void)
{
#ifdef CHOOSE
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
#else
    return 0;
#endif
}

#endif
