/* Compiled loops of engine `cpu`; the readable reference, with the same results to rounding, is engines/kernels.

   Columns (neurons) are cut into tiles of 32: the weights into a tile, and a sample's adjoints of a tile, stay in the
   second-level cache, sums stay in registers. Sums run in a fixed order, whatever the number of threads: a caller
   gives each thread its own samples (forward, adjoint) or its own presynaptic units (gather).

   Legend: N steps, K copies of the input (delay line), U presynaptic units, H neurons, P = H rounded up to whole tiles.
   Padded neurons have coefficients 0 and weights 0, so they stay at 0 and never fire. */

#include <stdint.h>
#include <string.h>

#include "../../../compiled.h"

#define TILE 32
#define LANES 16
#define CHUNK 256

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

/* drive[n + delays[k]] += the tile's weights, copy k, of what fires in step n; for `count` copies, at most COPIES.
   tile: [U][K][TILE], from the first of these copies on; drive: [N][TILE]. */
INLINE void project_copies(const int32_t *rows, const int64_t *starts, int64_t steps, const int64_t *delays, int count,
                           int64_t copies, const float *tile, float *drive)
{
    for (int64_t n = 0; n < steps; n++) {
        if (starts[n] == starts[n + 1]) continue;
        vec low[COPIES] = {{0}}, high[COPIES] = {{0}};
        for (int64_t e = starts[n]; e < starts[n + 1]; e++) {
            const float *row = tile + rows[e] * copies * TILE;
#pragma GCC unroll 5
            for (int k = 0; k < count; k++) {
                low[k] += at(row + k * TILE);
                high[k] += at(row + k * TILE + LANES);
            }
        }
#pragma GCC unroll 5
        for (int k = 0; k < count; k++) {
            if (n + delays[k] >= steps) continue;
            float *to = drive + (n + delays[k]) * TILE;
            put(to, at(to) + low[k]);
            put(to + LANES, at(to + LANES) + high[k]);
        }
    }
}

/* Without delays each step's sum is stored at once. */
INLINE void project_now(const int32_t *rows, const int64_t *starts, int64_t steps, const float *tile, float *drive)
{
    for (int64_t n = 0; n < steps; n++) {
        vec low = {0}, high = {0};
        for (int64_t e = starts[n]; e < starts[n + 1]; e++) {
            const float *row = tile + rows[e] * (int64_t)TILE;
            low += at(row);
            high += at(row + LANES);
        }
        put(drive + n * TILE, low);
        put(drive + n * TILE + LANES, high);
    }
}

/* drive [N][TILE]: what arrives in each step through a tile of weights [U][K][TILE]. */
INLINE void project(const int32_t *rows, const int64_t *starts, int64_t steps, const int64_t *delays, int64_t copies,
                    const float *tile, float *drive)
{
    if (copies == 1 && delays[0] == 0) {
        project_now(rows, starts, steps, tile, drive);
        return;
    }
    memset(drive, 0, steps * TILE * sizeof(float));
    for (int64_t k = 0; k < copies; k += COPIES) {
#define WORK(count) project_copies(rows, starts, steps, delays + k, count, copies, tile + k * TILE, drive)
        WITH_COPIES(copies - k, WORK)
#undef WORK
    }
}

/* Lanes of voltages at the threshold, lane 0 in the lowest bit. */
typedef uint64_t reach(vec voltage);

INLINE uint64_t reach_portable(vec voltage)
{
    bytes above = __builtin_convertvector(voltage >= 1.0f, bytes);
    uint64_t some[LANES / 8], found = 0;
    memcpy(some, &above, sizeof some);
    if (!(some[0] | some[1])) return 0;
    for (int l = 0; l < LANES; l++) found |= (uint64_t)(above[l] != 0) << l;
    return found;
}

/* Currents and voltages of 16 `parts` columns from h on, one step further: decay, what arrives from below, the rows of
   what fired, and who reaches the threshold by it. */
INLINE uint64_t advance_columns(int parts, reach *at_threshold, int64_t h, const float *arriving, int64_t stride,
                                const float *recurrent, int64_t padded, const int32_t *fired, int64_t count,
                                const float *a, const float *b, const float *c, float *voltage, float *current)
{
    vec i[4];
    uint64_t found = 0;
#pragma GCC unroll 4
    for (int l = 0; l < parts; l++)
        i[l] = at(b + h + l * LANES) * at(current + h + l * LANES) +
               at(arriving + l / 2 * stride * TILE + l % 2 * LANES);
    for (int64_t f = 0; f < count; f++) {
        const float *row = recurrent + fired[f] * padded + h;
#pragma GCC unroll 4
        for (int l = 0; l < parts; l++) i[l] += at(row + l * LANES);
    }
#pragma GCC unroll 4
    for (int l = 0; l < parts; l++) {
        vec v = at(a + h + l * LANES) * at(voltage + h + l * LANES) + at(c + h + l * LANES) * i[l];
        put(current + h + l * LANES, i[l]);
        put(voltage + h + l * LANES, v);
        found |= at_threshold(v) << l * LANES;
    }
    return found;
}

/* The same of all columns [P], of an event-driven layer's step: the `count` neurons that fired in step n, and what
   arrives in it, give V and I before step n + 1 and, in `words`, 64 columns each, who will fire in it. */
typedef void advance(const float *arriving, int64_t stride, const float *recurrent, int64_t padded,
                     const int32_t *fired, int64_t count, const float *a, const float *b, const float *c,
                     float *voltage, float *current, uint64_t *words);

#define ADVANCE(name, attributes, at_threshold)                                                                       \
    attributes static void name(const float *arriving, int64_t stride, const float *recurrent, int64_t padded,        \
                                const int32_t *fired, int64_t count, const float *a, const float *b, const float *c,  \
                                float *voltage, float *current, uint64_t *words)                                      \
    {                                                                                                                 \
        int64_t h = 0;                                                                                                \
        for (; h + 2 * TILE <= padded; h += 2 * TILE)                                                                 \
            words[h / 64] = advance_columns(4, at_threshold, h, arriving + h * stride, stride, recurrent, padded,     \
                                            fired, count, a, b, c, voltage, current);                                 \
        if (h < padded)                                                                                               \
            words[h / 64] = advance_columns(2, at_threshold, h, arriving + h * stride, stride, recurrent, padded,     \
                                            fired, count, a, b, c, voltage, current);                                 \
    }

ADVANCE(advance_portable, CLONES, reach_portable)

#ifdef CHOOSE
#define V4 __attribute__((target("arch=x86-64-v4")))

/* without a branch on who fires, which no processor can predict */
V4 static inline uint64_t reach_v4(vec voltage)
{
    return _mm512_cmp_ps_mask((__m512)voltage, _mm512_set1_ps(1.0f), _CMP_GE_OQ);
}

ADVANCE(advance_v4, V4, reach_v4)
#endif

static int has_v4(void)
{
#ifdef CHOOSE
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
#else
    return 0;
#endif
}

static advance *advance_here(void)
{
#ifdef CHOOSE
    if (has_v4()) return advance_v4;
#endif
    return advance_portable;
}

/* Steps begin..end of one sample of a hidden layer, from their drive [P / TILE][stride][TILE]: who fires in the steps
   after them. state: V, I, who fired and words, scratch [4 P + TILE]. Spikes beyond capacity are counted, not stored. */
INLINE void fire(const float *drive, int64_t begin, int64_t end, int64_t stride, int64_t padded, const float *recurrent,
                 const float *a, const float *b, const float *c, advance *step, float *state, int64_t capacity,
                 int32_t *spikes, float *denominators, int64_t *spike_starts)
{
    float *voltage = state, *current = state + padded;
    int32_t *fired = (int32_t *)(state + 2 * padded);
    uint64_t *words = (uint64_t *)(state + 3 * padded);
    for (int64_t n = begin; n < end; n++) {
        int64_t count = recurrent ? spike_starts[n + 1] - spike_starts[n] : 0, total = spike_starts[n + 1], found = 0;
        step(drive + (n - begin) * TILE, stride, recurrent, padded, fired, count, a, b, c, voltage, current, words);
        for (int64_t h = 0; h < padded; h += 64)
            for (uint64_t left = words[h / 64]; left; left &= left - 1) {
                int64_t j = h + __builtin_ctzll(left);
                if (total < capacity) {
                    spikes[total] = (int32_t)j;
                    denominators[total] = current[j] - voltage[j];
                }
                voltage[j] = 0.0f;
                fired[found++] = (int32_t)j;
                total++;
            }
        spike_starts[n + 2] = total;
    }
}

/* Hidden layer, samples first..last. weights: [P / TILE][U][K][TILE]; recurrent: [H][P] or null; drive: scratch [N][P];
   state: scratch [4 P + TILE]; other arguments as kernels.forward.hidden. */
CLONES void hidden_forward(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
                           const int64_t *delays, int64_t copies, int64_t units, const float *weights,
                           const float *recurrent, const float *a, const float *b, const float *c, int64_t padded,
                           float *drive, float *state, int64_t capacity, int32_t *spikes, float *denominators,
                           int64_t *spike_starts)
{
    FLUSH_DENORMALS;
    advance *step = advance_here();
    /* a drive of some steps stays in the second-level cache; with a delay line events reach further than that */
    const int64_t chunk = copies == 1 && delays[0] == 0 ? CHUNK : steps;
    for (int64_t s = first; s < last; s++) {
        const int64_t *when = starts + s * (steps + 1);
        int64_t *fired_until = spike_starts + s * (steps + 1);
        memset(state, 0, 2 * padded * sizeof(float));
        fired_until[0] = fired_until[1] = 0; /* the state before the first step is 0 */
        for (int64_t begin = 0; begin < steps; begin += chunk) {
            int64_t size = begin + chunk < steps ? chunk : steps - begin;
            for (int64_t t = 0; t < padded / TILE; t++)
                project(rows, when + begin, size, delays, copies, weights + t * copies * units * TILE,
                        drive + t * size * TILE);
            /* after the last step nobody fires any more */
            fire(drive, begin, begin + size < steps ? begin + size : steps - 1, size, padded, recurrent, a, b, c, step,
                 state, capacity, spikes + s * capacity, denominators + s * capacity, fired_until);
        }
    }
}

/* total += weight times v, in double precision */
INLINE void add_weighted(doubles total[2], double weight, vec v)
{
    half_vec halves[2];
    memcpy(halves, &v, sizeof v);
    total[0] += weight * __builtin_convertvector(halves[0], doubles);
    total[1] += weight * __builtin_convertvector(halves[1], doubles);
}

/* Outputs, samples first..last: logits[s][o] = sum_n weighting[n] V[n]; trace: [B][N][O], V[n], or null. weights:
   [P / TILE][U][TILE]; voltages: scratch [N][P], or null without trace. */
CLONES void output_forward(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
                           int64_t units, const float *weights, const float *a, const float *b, const float *c,
                           int64_t outputs, int64_t padded, const double *weighting, float *voltages, double *logits,
                           float *trace)
{
    FLUSH_DENORMALS;
    for (int64_t s = first; s < last; s++) {
        const int64_t *when = starts + s * (steps + 1);
        for (int64_t h = 0; h < padded; h += TILE) {
            const float *tile = weights + h * units;
            vec voltage[2] = {{0}}, current[2] = {{0}};
            doubles total[4] = {{0}};
            for (int64_t n = 0; n < steps; n++) {
                vec arriving[2] = {{0}};
                for (int64_t e = when[n]; e < when[n + 1]; e++) {
                    const float *row = tile + rows[e] * (int64_t)TILE;
                    arriving[0] += at(row);
                    arriving[1] += at(row + LANES);
                }
#pragma GCC unroll 2
                for (int half = 0; half < 2; half++) {
                    int64_t o = h + half * LANES;
                    add_weighted(total + 2 * half, weighting[n], voltage[half]);
                    if (trace) put(voltages + n * padded + o, voltage[half]);
                    voltage[half] = at(a + o) * voltage[half] + at(c + o) * current[half];
                    current[half] = at(b + o) * current[half] + arriving[half];
                }
            }
            for (int64_t l = 0; l < TILE && h + l < outputs; l++)
                logits[s * outputs + h + l] = total[l / (LANES / 2)][l % (LANES / 2)];
        }
        for (int64_t n = 0; trace && n < steps; n++)
            memcpy(trace + (s * steps + n) * outputs, voltages + n * padded, outputs * sizeof(float));
    }
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

/* Maxima of the outputs' voltages, samples first..last: values, peaks, shares: [B][O], see kernels.forward.maximum.
   drive: scratch [P / TILE][N][TILE]; state: scratch [6 P]; when: scratch [P]. */
CLONES void max_forward(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
                        int64_t units, const float *weights, const float *a, const float *b, const float *c,
                        int64_t outputs, int64_t padded, float *drive, float *state, int32_t *when, double *values,
                        int32_t *peaks, float *shares)
{
    FLUSH_DENORMALS;
    const int64_t no_delay = 0;
    float *voltage = state, *current = state + padded, *before = state + 2 * padded;
    float *best = state + 3 * padded, *rise = state + 4 * padded, *fall = state + 5 * padded;
    for (int64_t s = first; s < last; s++) {
        for (int64_t t = 0; t < padded / TILE; t++)
            project(rows, starts + s * (steps + 1), steps, &no_delay, 1, weights + t * units * TILE,
                    drive + t * steps * TILE);
        memset(state, 0, 6 * padded * sizeof(float));
        memset(when, 0, padded * sizeof(int32_t));
        for (int64_t n = 0; n < steps; n++)
            for (int64_t o = 0; o < padded; o += LANES) {
                vec v = at(voltage + o), left = at(a + o) * v, after = left + at(c + o) * at(current + o);
                mask higher = v > at(best + o);
                if (any(higher)) {
                    put(best + o, choose(higher, v, at(best + o)));
                    put(rise + o, choose(higher, left + at(c + o) * at(before + o) - v, at(rise + o)));
                    put(fall + o, choose(higher, v - after, at(fall + o)));
                    *(mask *)(when + o) = (higher & (int32_t)n) | (~higher & whole(when + o));
                }
                vec i = at(b + o) * at(current + o);
                put(voltage + o, after);
                put(before + o, i);
                put(current + o, i + at(drive + (o / TILE * steps + n) * TILE + o % TILE));
            }
        for (int64_t o = 0; o < outputs; o++) {
            values[s * outputs + o] = best[o];
            peaks[s * outputs + o] = when[o];
            shares[s * outputs + o] = rise[o] > 0 && fall[o] >= 0 ? rise[o] / (rise[o] + fall[o]) : 1.0f;
        }
    }
}

/* Adjoint of the outputs, samples first..last of B. drive: [B][P]; adjoint: [P / TILE][B][R][TILE], lamI, zero from row
   N on, so that what arrives after the end reads zeros; difference: [B][N + 1][P], p lamV - q lamI. */
CLONES void output_adjoint(const float *drive, const float *weighting, int64_t samples, int64_t first, int64_t last,
                           int64_t steps, int64_t adjoint_rows, int64_t padded, const float *a, const float *b,
                           const float *k, const float *p, const float *q, float *adjoint, float *difference)
{
    FLUSH_DENORMALS;
    for (int64_t s = first; s < last; s++)
        for (int64_t t = 0; t < padded / TILE; t++) {
            float *lam = adjoint + (t * samples + s) * adjoint_rows * TILE;
            float *diff = difference + s * (steps + 1) * padded + t * TILE;
            vec lam_v[2] = {{0}}, lam_i[2] = {{0}};
            memset(lam + steps * TILE, 0, (adjoint_rows - steps) * TILE * sizeof(float));
            memset(diff + steps * padded, 0, TILE * sizeof(float));
            for (int64_t n = steps - 1; n >= 0; n--)
#pragma GCC unroll 2
                for (int half = 0; half < 2; half++) {
                    int64_t l = half * LANES, o = t * TILE + l;
                    lam_i[half] = at(b + o) * lam_i[half] + at(k + o) * lam_v[half];
                    lam_v[half] = at(a + o) * lam_v[half] + weighting[n] * at(drive + s * padded + o);
                    stream(lam + n * TILE + l, lam_i[half]);
                    stream(diff + n * padded + l, at(p + o) * lam_v[half] - at(q + o) * lam_i[half]);
                }
        }
    streamed();
}

/* The same from the maxima. drive, shares: [B][P]; peaks: [B][P]; see kernels.adjoint.maximum. */
CLONES void max_adjoint(const float *drive, const int32_t *peaks, const float *shares, int64_t samples, int64_t first,
                        int64_t last, int64_t steps, int64_t adjoint_rows, int64_t padded, const float *a,
                        const float *b, const float *k, const float *p, const float *q, float *adjoint,
                        float *difference)
{
    FLUSH_DENORMALS;
    for (int64_t s = first; s < last; s++)
        for (int64_t o = 0; o < padded; o += LANES) {
            float *lam = adjoint + ((o / TILE * samples + s) * adjoint_rows) * TILE + o % TILE;
            float *diff = difference + s * (steps + 1) * padded + o;
            vec lam_v = {0}, lam_i = {0}, none = {0};
            vec push = at(drive + s * padded + o), unseen = (1.0f - at(shares + s * padded + o)) * push;
            mask when = whole(peaks + s * padded + o);
            for (int64_t n = steps; n < adjoint_rows; n++) put(lam + n * TILE, lam_i);
            put(diff + steps * padded, lam_i);
            for (int64_t n = steps - 1; n >= 0; n--) {
                mask now = when == (int32_t)n;
                lam_i = at(b + o) * lam_i + at(k + o) * lam_v;
                lam_v = at(a + o) * lam_v + choose(now, push, none);
                put(lam + n * TILE, lam_i);
                put(diff + n * padded, at(p + o) * (lam_v - choose(now, unseen, none)) - at(q + o) * lam_i);
            }
        }
}

/* sums[i] += the products of y [size] and row who[i] of x [.][size], for `count` rows, at most COPIES */
INLINE void dots(int count, const int32_t *who, const float *x, const float *y, int64_t size, float *sums)
{
    vec low[COPIES] = {{0}}, high[COPIES] = {{0}};
    for (int64_t h = 0; h < size; h += TILE)
#pragma GCC unroll 5
        for (int i = 0; i < count; i++) {
            low[i] += at(x + who[i] * size + h) * at(y + h);
            high[i] += at(x + who[i] * size + h + LANES) * at(y + h + LANES);
        }
#pragma GCC unroll 5
    for (int i = 0; i < count; i++) sums[i] += sum(low[i] + high[i]);
}

INLINE void all_dots(int64_t count, const int32_t *who, const float *x, const float *y, int64_t size, float *sums)
{
    for (int64_t i = 0; i < count; i += COPIES) {
#define WORK(some) dots(some, who + i, x, y, size, sums + i)
        WITH_COPIES(count - i, WORK)
#undef WORK
    }
}

/* A layer's adjoints [P] one step back; what R of the step before needs, p lamV - q lamI, goes to flow unless that is
   null, and lamI to adjoint, whose tiles are `plane` numbers apart. */
typedef void retreat(int64_t padded, int64_t plane, const float *a, const float *b, const float *k, const float *p,
                     const float *q, float *lam_v, float *lam_i, float *flow, float *adjoint);

#define RETREAT(name, attributes, stream)                                                                             \
    attributes static void name(int64_t padded, int64_t plane, const float *a, const float *b, const float *k,       \
                                const float *p, const float *q, float *lam_v, float *lam_i, float *flow,             \
                                float *adjoint)                                                                       \
    {                                                                                                                 \
        for (int64_t h = 0; h < padded; h += LANES) {                                                                 \
            vec v = at(lam_v + h), i = at(b + h) * at(lam_i + h) + at(k + h) * v;                                     \
            v *= at(a + h);                                                                                           \
            put(lam_i + h, i);                                                                                        \
            put(lam_v + h, v);                                                                                        \
            if (flow) put(flow + h, at(p + h) * v - at(q + h) * i);                                                   \
            stream(adjoint + h / TILE * plane + h % TILE, i);                                                         \
        }                                                                                                             \
    }

RETREAT(retreat_portable, CLONES, stream)

#ifdef CHOOSE
V4 static inline void stream_v4(float *p, vec v) { _mm512_stream_ps(p, (__m512)v); }

RETREAT(retreat_v4, V4, stream_v4)
#endif

static retreat *retreat_here(void)
{
#ifdef CHOOSE
    if (has_v4()) return retreat_v4;
#endif
    return retreat_portable;
}

/* Adjoint of a spiking layer, samples first..last. above: [H][M], M whole tiles or 0; difference_above: [B][N + 1][M];
   recurrent: [H][P] or null; penalty: [B][H]; timing: [B][capacity] or null; state: scratch [4 P]; difference:
   [B][N + 1][P] or null. Other arguments as kernels.adjoint.hidden; adjoint as in output_adjoint. */
CLONES void hidden_adjoint(const int32_t *spikes, const float *denominators, const int64_t *spike_starts,
                           int64_t capacity, int64_t samples, int64_t first, int64_t last, int64_t steps,
                           int64_t adjoint_rows, int64_t neurons, int64_t padded, const float *above,
                           int64_t width_above, const float *difference_above,
                           const float *recurrent, const float *penalty, const float *timing, float floor,
                           const float *a, const float *b, const float *k, const float *p, const float *q, float *state,
                           float *adjoint, float *difference, int64_t *floored)
{
    FLUSH_DENORMALS;
    int64_t plane = samples * adjoint_rows * TILE;
    float *lam_v = state, *lam_i = state + padded, *scratch = state + 2 * padded, *jumps = state + 3 * padded;
    retreat *back = retreat_here();
    for (int64_t s = first; s < last; s++) {
        const int32_t *who = spikes + s * capacity;
        const float *z = denominators + s * capacity;
        const int64_t *when = spike_starts + s * (steps + 1);
        const float *target = difference_above + s * (steps + 1) * width_above;
        float *lam = adjoint + s * adjoint_rows * TILE;
        float *flow = difference ? difference + (s * (steps + 1) + steps) * padded : recurrent ? scratch : 0;
        memset(state, 0, 4 * padded * sizeof(float));
        for (int64_t t = 0; t < padded / TILE; t++)
            memset(lam + t * plane + steps * TILE, 0, (adjoint_rows - steps) * TILE * sizeof(float));
        if (difference) memset(flow, 0, padded * sizeof(float));
        for (int64_t n = steps - 1; n >= 0; n--) {
            int64_t begin = when[n], end = when[n + 1];
            for (int64_t e = begin; e < end; e++) jumps[e - begin] = timing ? timing[s * capacity + e] : 0.0f;
            all_dots(end - begin, who + begin, above, target + (n + 1) * width_above, width_above, jumps);
            if (recurrent) all_dots(end - begin, who + begin, recurrent, flow, padded, jumps);
            for (int64_t e = begin; e < end; e++) {
                int64_t j = who[e];
                float denominator = z[e];
                if (denominator < floor) {
                    denominator = floor;
                    floored[s]++;
                }
                lam_v[j] += (lam_v[j] + jumps[e - begin]) / denominator - penalty[s * neurons + j];
            }
            if (difference) flow -= padded;
            back(padded, plane, a, b, k, p, q, lam_v, lam_i, flow, lam + n * TILE);
        }
    }
    streamed();
}

/* What the gradients of time constants are made of, samples first..last of B: sums over steps of lamV (V - I), lamV I
   and lamI I. V and I of a tile are computed once more, as in `fire` and `output_forward`, and stay in registers;
   lamV[n + 1], after the jumps of step n, is (lamI[n] - b lamI[n + 1]) / k.

   rows to padded: as hidden_forward takes them; spikes, spike_starts: what it gave, or null for the outputs; inverse_k:
   [P]; adjoint: as output_adjoint and hidden_adjoint gave it; drive: scratch [N][TILE]; products: [B][3][P]. */
CLONES void sum_products(const int32_t *rows, const int64_t *starts, int64_t samples, int64_t first, int64_t last,
                         int64_t steps, const int64_t *delays, int64_t copies, int64_t units, const float *weights,
                         const float *recurrent, const float *a, const float *b, const float *c, int64_t padded,
                         const int32_t *spikes, const int64_t *spike_starts, int64_t capacity, const float *inverse_k,
                         const float *adjoint, int64_t adjoint_rows, float *drive, float *products)
{
    FLUSH_DENORMALS;
    const int64_t chunk = copies == 1 && delays[0] == 0 ? CHUNK : steps; /* as in hidden_forward */
    for (int64_t t = 0; t < padded / TILE; t++)
        for (int64_t s = first; s < last; s++) {
            const int64_t *arriving = starts + s * (steps + 1), *when = spikes ? spike_starts + s * (steps + 1) : 0;
            const int32_t *who = spikes ? spikes + s * capacity : 0;
            const float *lam = adjoint + (t * samples + s) * adjoint_rows * TILE;
            const float *within = recurrent ? recurrent + t * TILE : 0;
            float voltage[TILE];
            vec v[2] = {{0}}, i[2] = {{0}}, drift[2] = {{0}}, charge[2] = {{0}}, current[2] = {{0}};
            for (int64_t n = 0; n < steps; n++) {
                if (n % chunk == 0)
                    project(rows, arriving + n, n + chunk < steps ? chunk : steps - n, delays, copies,
                            weights + t * copies * units * TILE, drive);
#pragma GCC unroll 2
                for (int half = 0; half < 2; half++) {
                    int64_t l = half * LANES, h = t * TILE + l;
                    vec lam_i = at(lam + (n + 1) * TILE + l);
                    vec lam_v = (at(lam + n * TILE + l) - at(b + h) * lam_i) * at(inverse_k + h);
                    drift[half] += lam_v * (v[half] - i[half]);
                    charge[half] += lam_v * i[half];
                    current[half] += lam_i * i[half];
                    v[half] = at(a + h) * v[half] + at(c + h) * i[half];
                    i[half] = at(b + h) * i[half] + at(drive + n % chunk * TILE + l);
                }
                if (!when || when[n] == when[n + 1]) continue;
                put(voltage, v[0]);
                put(voltage + LANES, v[1]);
                for (int64_t e = when[n]; e < when[n + 1]; e++) {
                    if (within) {
                        i[0] += at(within + who[e] * padded);
                        i[1] += at(within + who[e] * padded + LANES);
                    }
                    if (who[e] / TILE == t) voltage[who[e] % TILE] = 0.0f;
                }
                v[0] = at(voltage);
                v[1] = at(voltage + LANES);
            }
#pragma GCC unroll 2
            for (int half = 0; half < 2; half++) {
                float *to = products + s * 3 * padded + t * TILE + half * LANES;
                put(to, drift[half]);
                put(to + padded, charge[half]);
                put(to + 2 * padded, current[half]);
            }
        }
}

/* starts[s][n] = where the events of sample s and step n begin, for samples first..last whose events, in order of time,
   begin at offsets[s]. steps_of: step of each event; starts: [B][N + 1]. */
void find_starts(const int32_t *steps_of, const int64_t *offsets, int64_t first, int64_t last, int64_t steps,
                 int64_t *starts)
{
    for (int64_t s = first; s < last; s++) {
        int64_t *when = starts + s * (steps + 1);
        for (int64_t n = 0; n <= steps; n++) when[n] = offsets[s];
        for (int64_t e = offsets[s]; e < offsets[s + 1]; e++) when[steps_of[e] + 1] = e + 1; /* the last of a step */
        for (int64_t n = 1; n <= steps; n++) when[n] = when[n] > when[n - 1] ? when[n] : when[n - 1];
    }
}

/* counts[s][h]: spikes of each neuron, for samples first..last; [B][H], zeros before. */
void count_spikes(const int32_t *spikes, const int64_t *spike_starts, int64_t capacity, int64_t first, int64_t last,
                  int64_t steps, int64_t neurons, int64_t *counts)
{
    for (int64_t s = first; s < last; s++) {
        const int32_t *who = spikes + s * capacity;
        for (int64_t e = 0; e < spike_starts[s * (steps + 1) + steps]; e++) counts[s * neurons + who[e]]++;
    }
}

/* Sort events by block of samples, unit, sample and time, for blocks first..last. event_rows: sample * adjoint_rows +
   step of each event, all samples' together from 0 on; unit_starts: [blocks][U + 1]; place: scratch [U + 1]. */
void sort_by_unit(const int32_t *rows, const int64_t *starts, int64_t samples, int64_t first, int64_t last,
                  int64_t steps, int64_t units, int64_t adjoint_rows, int64_t block, const int64_t *before,
                  int32_t *event_rows, int64_t *unit_starts, int64_t *place)
{
    for (int64_t k = first; k < last; k++) {
        int64_t begin = k * block, end = begin + block < samples ? begin + block : samples;
        memset(place, 0, (units + 1) * sizeof(int64_t));
        for (int64_t s = begin; s < end; s++)
            for (int64_t e = starts[s * (steps + 1)]; e < starts[s * (steps + 1) + steps]; e++) place[rows[e] + 1]++;
        place[0] = before[begin];
        for (int64_t u = 0; u < units; u++) place[u + 1] += place[u];
        memcpy(unit_starts + k * (units + 1), place, (units + 1) * sizeof(int64_t));
        for (int64_t s = begin; s < end; s++) {
            const int64_t *when = starts + s * (steps + 1);
            for (int64_t n = 0; n < steps; n++) {
                const int32_t row = (int32_t)(s * adjoint_rows + n);
                const int64_t until = when[n + 1];
                for (int64_t e = when[n]; e < until; e++) event_rows[place[rows[e]]++] = row;
            }
        }
    }
}

/* The sums of one unit's copies, `count` of them, at most COPIES; lam: adjoints of a tile; sums: [count][stride][TILE]. */
INLINE void gather_copies(const int32_t *event_rows, int64_t begin, int64_t end, const int64_t *delays, int count,
                          const float *lam, float *sums, int64_t stride)
{
    vec low[COPIES] = {{0}}, high[COPIES] = {{0}};
    for (int64_t e = begin; e < end; e++) {
        const float *row = lam + (event_rows[e] + 1) * (int64_t)TILE;
#pragma GCC unroll 5
        for (int k = 0; k < count; k++) {
            low[k] += at(row + delays[k] * TILE);
            high[k] += at(row + delays[k] * TILE + LANES);
        }
    }
#pragma GCC unroll 5
    for (int k = 0; k < count; k++) {
        float *to = sums + k * stride * TILE;
        put(to, at(to) + low[k]);
        put(to + LANES, at(to + LANES) + high[k]);
    }
}

/* The same of one copy; events by turns to several sums, which need not wait for one another. */
INLINE void gather_alone(const int32_t *event_rows, int64_t begin, int64_t end, const float *lam, float *sums)
{
    vec low[2] = {{0}}, high[2] = {{0}};
    int64_t e = begin;
    for (; e + 2 <= end; e += 2)
#pragma GCC unroll 8
        for (int i = 0; i < 2; i++) {
            const float *row = lam + event_rows[e + i] * (int64_t)TILE;
            low[i] += at(row);
            high[i] += at(row + LANES);
        }
    for (; e < end; e++) {
        const float *row = lam + event_rows[e] * (int64_t)TILE;
        low[0] += at(row);
        high[0] += at(row + LANES);
    }
#pragma GCC unroll 8
    for (int i = 1; i < 2; i++) {
        low[0] += low[i];
        high[0] += high[i];
    }
    put(sums, at(sums) + low[0]);
    put(sums + LANES, at(sums + LANES) + high[0]);
}

/* A connection into a population, and the units whose gradient one thread gathers. event_rows: row of each event in the
   adjoints of a tile, sorted by block and unit; unit_starts: [blocks][U + 1]; gradient: [K U][H]; sums: scratch
   [K][last - first][TILE]. */
struct source {
    const int32_t *event_rows;
    const int64_t *unit_starts;
    int64_t units, first, last;
    const int64_t *delays;
    int64_t copies;
    float *gradient, *sums;
};

/* `ahead` is what will be read next, of which each unit fetches a part: memory answers while sums are made. */
INLINE const float *gather_units(const struct source *from, int64_t block, const float *lam, const float *ahead,
                                 int64_t lines_each)
{
    const int64_t *starts = from->unit_starts + block * (from->units + 1), copies = from->copies;
    const int64_t size = from->last - from->first;
    for (int64_t u = from->first; u < from->last; u++) {
        for (int64_t line = 0; line < lines_each; line++, ahead += LANES) __builtin_prefetch(ahead, 0, 2);
        if (starts[u] == starts[u + 1]) continue;
        if (copies == 1) {
            gather_alone(from->event_rows, starts[u], starts[u + 1], lam + (1 + from->delays[0]) * TILE,
                         from->sums + (u - from->first) * TILE);
            continue;
        }
        for (int64_t k = 0; k < copies; k += COPIES) {
#define WORK(count)                                                                             \
    gather_copies(from->event_rows, starts[u], starts[u + 1], from->delays + k, count, lam, \
                  from->sums + (k * size + u - from->first) * TILE, size)
            WITH_COPIES(copies - k, WORK)
#undef WORK
        }
    }
    return ahead;
}

/* gradient += scale times the sums of a tile whose first column is `column` */
INLINE void add_sums(const struct source *from, const float *scale, int64_t column, int64_t neurons)
{
    const int64_t size = from->last - from->first, width = neurons - column < TILE ? neurons - column : TILE;
    for (int64_t k = 0; k < from->copies; k++)
        for (int64_t u = 0; u < size; u++) {
            const float *sums = from->sums + (k * size + u) * TILE;
            float *row = from->gradient + (k * from->units + from->first + u) * neurons + column;
            for (int64_t h = 0; h < width; h++) row[h] += scale[h] * sums[h];
        }
}

/* gradient[k U + u][h] += scale[h] times the sum of lamI at the events of unit u, for all `count` connections. Samples
   come in blocks of block_rows rows, whose adjoints of a tile fit the second-level cache: they are fetched in order,
   once, while the block before is summed, and read at random. */
CLONES void gather(const struct source *sources, int64_t count, int64_t blocks, int64_t block_rows, int64_t plane_rows,
                   const float *adjoint, int64_t padded, const float *scale, int64_t neurons)
{
    FLUSH_DENORMALS;
    int64_t units = 0;
    for (int64_t c = 0; c < count; c++) units += sources[c].last - sources[c].first;
    const int64_t lines_each = units ? block_rows * (TILE / LANES) / units : 0;
    for (int64_t t = 0; t < padded / TILE; t++) {
        const float *plane = adjoint + t * plane_rows * TILE;
        for (int64_t c = 0; c < count; c++)
            memset(sources[c].sums, 0, sources[c].copies * (sources[c].last - sources[c].first) * TILE * sizeof(float));
        for (int64_t block = 0; block < blocks; block++) {
            const float *ahead = plane + (block + 1) * block_rows * TILE; /* of the next tile after the last block */
            for (int64_t c = 0; c < count; c++) ahead = gather_units(sources + c, block, plane, ahead, lines_each);
        }
        for (int64_t c = 0; c < count; c++) add_sums(sources + c, scale + t * TILE, t * TILE, neurons);
    }
}

/* The sum of some rows of a table [.][TILE]: what project, receive and gather do for each event, and nothing else. Used to
   measure what the memory delivers to them. */
CLONES void sum_rows(const int32_t *rows, int64_t count, const float *table, float *sums)
{
    vec low[4] = {{0}}, high[4] = {{0}}; /* several sums: the memory is to be waited for, not the adder */
    int64_t e = 0;
    for (; e + 4 <= count; e += 4) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const float *row = table + rows[e + i] * (int64_t)TILE;
            low[i] += at(row);
            high[i] += at(row + LANES);
        }
    }
    for (; e < count; e++) {
        const float *row = table + rows[e] * (int64_t)TILE;
        low[0] += at(row);
        high[0] += at(row + LANES);
    }
    put(sums, (low[0] + low[1]) + (low[2] + low[3]));
    put(sums + LANES, (high[0] + high[1]) + (high[2] + high[3]));
}
