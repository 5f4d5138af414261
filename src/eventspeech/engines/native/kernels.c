/* Compiled loops of engine `cpu`; the readable reference, with the same results to rounding, is engines/kernels.

   Columns (neurons) are cut into tiles of 32: the weights into a tile, and a sample's adjoints of a tile, stay in the
   second-level cache, sums stay in registers. Sums run in a fixed order, whatever the number of threads: a caller
   gives each thread its own samples (forward, adjoint) or its own presynaptic units (gather).

   Legend: N steps, K copies of the input (delay line), U presynaptic units, H neurons, P = H rounded up to whole tiles.
   Padded neurons have coefficients 0 and weights 0, so they stay at 0 and never fire. */

#include <stdint.h>
#include <string.h>

#define TILE 32
#define LANES 16
#define CHUNK 128

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int8_t bytes __attribute__((vector_size(LANES)));

/* one binary for all x86-64 machines of a cluster: the best version is chosen when the library is loaded */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CHOOSE
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#include <immintrin.h>
#else
#define CLONES
#endif
#define INLINE static inline __attribute__((always_inline))

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
    float x[LANES];
    put(x, v);
    return ((x[0] + x[8]) + (x[4] + x[12])) + ((x[2] + x[10]) + (x[6] + x[14])) +
           (((x[1] + x[9]) + (x[5] + x[13])) + ((x[3] + x[11]) + (x[7] + x[15])));
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

/* Step the voltages [P] and reset those that reach the threshold. Who fired, and with which denominators, goes to fired
   and z, scratch [P + LANES]. Returns how many. */
typedef int64_t scan(const float *a, const float *c, int64_t padded, float *voltage, const float *current,
                     int32_t *fired, float *z);

CLONES static int64_t scan_portable(const float *a, const float *c, int64_t padded, float *voltage,
                                    const float *current, int32_t *fired, float *z)
{
    int64_t count = 0;
    for (int64_t h = 0; h < padded; h += LANES) {
        vec v = at(a + h) * at(voltage + h) + at(c + h) * at(current + h);
        put(voltage + h, v);
        bytes above = __builtin_convertvector(v >= 1.0f, bytes);
        uint64_t some[LANES / 8];
        memcpy(some, &above, sizeof some);
        if (!(some[0] | some[1])) continue;
        for (int64_t j = h; j < h + LANES; j++) {
            if (!(voltage[j] >= 1.0f)) continue;
            fired[count] = (int32_t)j;
            z[count++] = current[j] - voltage[j];
            voltage[j] = 0.0f;
        }
    }
    return count;
}

#ifdef CHOOSE
/* The same without a branch on who fires, which no processor can predict. */
__attribute__((target("arch=x86-64-v4"))) static int64_t scan_v4(const float *a, const float *c, int64_t padded,
                                                                 float *voltage, const float *current, int32_t *fired,
                                                                 float *z)
{
    const __m512i step = _mm512_set1_epi32(LANES);
    __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    int64_t count = 0;
    for (int64_t h = 0; h < padded; h += LANES, lanes = _mm512_add_epi32(lanes, step)) {
        __m512 i = _mm512_loadu_ps(current + h), driven = _mm512_mul_ps(_mm512_loadu_ps(c + h), i);
        __m512 v = _mm512_fmadd_ps(_mm512_loadu_ps(a + h), _mm512_loadu_ps(voltage + h), driven);
        __mmask16 above = _mm512_cmp_ps_mask(v, _mm512_set1_ps(1.0f), _CMP_GE_OQ);
        _mm512_storeu_ps(voltage + h, _mm512_maskz_mov_ps(_knot_mask16(above), v));
        _mm512_storeu_si512(fired + count, _mm512_maskz_compress_epi32(above, lanes));
        _mm512_storeu_ps(z + count, _mm512_maskz_compress_ps(above, _mm512_sub_ps(i, v)));
        count += __builtin_popcount(above);
    }
    return count;
}
#endif

static scan *scan_here(void)
{
#ifdef CHOOSE
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
        return scan_v4;
#endif
    return scan_portable;
}

/* currents h .. of `tiles` tiles: decay, what arrives from below, and the rows of what fired. */
INLINE void receive(int tiles, int64_t h, const float *b, const float *arriving, int64_t stride,
                    const float *recurrent, int64_t padded, const int32_t *fired, int64_t count, float *current)
{
    vec i[4];
#pragma GCC unroll 4
    for (int l = 0; l < 2 * tiles; l++)
        i[l] = at(b + h + l * LANES) * at(current + h + l * LANES) +
               at(arriving + l / 2 * stride * TILE + l % 2 * LANES);
    for (int64_t f = 0; f < count; f++) {
        const float *row = recurrent + fired[f] * padded + h;
#pragma GCC unroll 4
        for (int l = 0; l < 2 * tiles; l++) i[l] += at(row + l * LANES);
    }
#pragma GCC unroll 4
    for (int l = 0; l < 2 * tiles; l++) put(current + h + l * LANES, i[l]);
}

/* Some steps of one sample of a hidden layer, from its drive [P / TILE][N][TILE]; state: V, I and scratch,
   [4 P + 2 LANES]. Returns the number of spikes so far; those beyond capacity are not stored. */
INLINE int64_t fire(const float *drive, int64_t steps, int64_t padded, const float *recurrent,
                    const float *a, const float *b, const float *c, scan *step, float *state, int64_t total,
                    int64_t capacity, int32_t *spikes, float *denominators, int64_t *spike_starts)
{
    float *voltage = state, *current = state + padded, *z = state + 2 * padded;
    int32_t *fired = (int32_t *)(z + padded + LANES);
    for (int64_t n = 0; n < steps; n++) {
        int64_t count = step(a, c, padded, voltage, current, fired, z);
        int64_t kept = total + count <= capacity ? count : total < capacity ? capacity - total : 0;
        for (int64_t f = 0; f < kept; f++) spikes[total + f] = fired[f];
        for (int64_t f = 0; f < kept; f++) denominators[total + f] = z[f];
        total += count;
        spike_starts[n + 1] = total;
        if (!recurrent) count = 0;
        int64_t h = 0;
        for (; h + 2 * TILE <= padded; h += 2 * TILE)
            receive(2, h, b, drive + h * steps + n * TILE, steps, recurrent, padded, fired, count, current);
        if (h < padded)
            receive(1, h, b, drive + h * steps + n * TILE, steps, recurrent, padded, fired, count, current);
    }
    return total;
}

/* Hidden layer, samples first..last. weights: [P / TILE][U][K][TILE]; recurrent: [H][P] or null; drive: scratch [N][P];
   state: scratch [4 P + 2 LANES]; other arguments as kernels.forward.hidden. */
CLONES void hidden_forward(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
                           const int64_t *delays, int64_t copies, int64_t units, const float *weights,
                           const float *recurrent, const float *a, const float *b, const float *c, int64_t padded,
                           float *drive, float *state, int64_t capacity, int32_t *spikes, float *denominators,
                           int64_t *spike_starts)
{
    scan *step = scan_here();
    /* a drive of some steps stays in the second-level cache; with a delay line events reach further than that */
    const int64_t chunk = copies == 1 && delays[0] == 0 ? CHUNK : steps;
    for (int64_t s = first; s < last; s++) {
        const int64_t *when = starts + s * (steps + 1);
        int64_t total = 0, *fired_until = spike_starts + s * (steps + 1);
        memset(state, 0, 2 * padded * sizeof(float));
        fired_until[0] = 0;
        for (int64_t begin = 0; begin < steps; begin += chunk) {
            int64_t size = begin + chunk < steps ? chunk : steps - begin;
            for (int64_t t = 0; t < padded / TILE; t++)
                project(rows, when + begin, size, delays, copies, weights + t * copies * units * TILE,
                        drive + t * size * TILE);
            total = fire(drive, size, padded, recurrent, a, b, c, step, state, total, capacity,
                         spikes + s * capacity, denominators + s * capacity, fired_until + begin);
        }
    }
}

/* Outputs, samples first..last: logits[s][o] = sum_n weighting[n] V[n]; trace: [B][N][O], V[n], or null. drive: scratch
   [P / TILE][N][TILE]; state: scratch [2 P]. */
CLONES void output_forward(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
                           int64_t units, const float *weights, const float *a, const float *b, const float *c,
                           int64_t outputs, int64_t padded, const double *weighting, float *drive, float *state,
                           double *logits, float *trace)
{
    const int64_t no_delay = 0;
    float *voltage = state, *current = state + padded;
    for (int64_t s = first; s < last; s++) {
        for (int64_t t = 0; t < padded / TILE; t++)
            project(rows, starts + s * (steps + 1), steps, &no_delay, 1, weights + t * units * TILE,
                    drive + t * steps * TILE);
        memset(state, 0, 2 * padded * sizeof(float));
        for (int64_t n = 0; n < steps; n++) {
            for (int64_t o = 0; o < outputs; o++) logits[s * outputs + o] += weighting[n] * voltage[o];
            if (trace) memcpy(trace + (s * steps + n) * outputs, voltage, outputs * sizeof(float));
            for (int64_t o = 0; o < padded; o += LANES) {
                vec i = at(current + o);
                put(voltage + o, at(a + o) * at(voltage + o) + at(c + o) * i);
                put(current + o, at(b + o) * i + at(drive + (o / TILE * steps + n) * TILE + o % TILE));
            }
        }
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
    for (int64_t s = first; s < last; s++)
        for (int64_t o = 0; o < padded; o += LANES) {
            float *lam = adjoint + ((o / TILE * samples + s) * adjoint_rows) * TILE + o % TILE;
            float *diff = difference + s * (steps + 1) * padded + o;
            vec lam_v = {0}, lam_i = {0}, push = at(drive + s * padded + o);
            for (int64_t n = steps; n < adjoint_rows; n++) put(lam + n * TILE, lam_i);
            put(diff + steps * padded, lam_i);
            for (int64_t n = steps - 1; n >= 0; n--) {
                lam_i = at(b + o) * lam_i + at(k + o) * lam_v;
                lam_v = at(a + o) * lam_v + weighting[n] * push;
                put(lam + n * TILE, lam_i);
                put(diff + n * padded, at(p + o) * lam_v - at(q + o) * lam_i);
            }
        }
}

/* The same from the maxima. drive, shares: [B][P]; peaks: [B][P]; see kernels.adjoint.maximum. */
CLONES void max_adjoint(const float *drive, const int32_t *peaks, const float *shares, int64_t samples, int64_t first,
                        int64_t last, int64_t steps, int64_t adjoint_rows, int64_t padded, const float *a,
                        const float *b, const float *k, const float *p, const float *q, float *adjoint,
                        float *difference)
{
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

INLINE vec dot(vec sum, const float *x, const float *y, int64_t size)
{
    vec other = {0};
    for (int64_t i = 0; i < size; i += TILE) {
        sum += at(x + i) * at(y + i);
        other += at(x + i + LANES) * at(y + i + LANES);
    }
    return sum + other;
}

/* Adjoint of a spiking layer, samples first..last. above: [H][M], M whole tiles or 0; difference_above: [B][N + 1][M];
   recurrent: [H][P] or null; penalty: [B][H]; timing: [B][capacity] or null; state: scratch [4 P]; difference:
   [B][N + 1][P] or null. Other arguments as kernels.adjoint.hidden; adjoint as in output_adjoint. */
CLONES void hidden_adjoint(const int32_t *spikes, const float *denominators, const int64_t *spike_starts,
                           int64_t capacity, int64_t samples, int64_t first, int64_t last, int64_t steps,
                           int64_t adjoint_rows, int64_t neurons, int64_t padded, const float *above,
                           int64_t width_above, const float *difference_above,
                           const float *recurrent, const float *penalty, const float *timing, float floor,
                           const float *a, const float *b, const float *k, const float *p, const float *q, float *state, float *adjoint,
                           float *difference, int64_t *floored)
{
    int64_t tiles = padded / TILE, plane = samples * adjoint_rows * TILE;
    float *lam_v = state, *lam_i = state + padded, *gap = state + 2 * padded, *jumps = state + 3 * padded;
    for (int64_t s = first; s < last; s++) {
        const int32_t *who = spikes + s * capacity;
        const float *z = denominators + s * capacity;
        const int64_t *when = spike_starts + s * (steps + 1);
        const float *target = difference_above + s * (steps + 1) * width_above;
        float *lam = adjoint + s * adjoint_rows * TILE;
        memset(state, 0, 4 * padded * sizeof(float));
        for (int64_t t = 0; t < tiles; t++)
            memset(lam + t * plane + steps * TILE, 0, (adjoint_rows - steps) * TILE * sizeof(float));
        if (difference) memset(difference + (s * (steps + 1) + steps) * padded, 0, padded * sizeof(float));
        for (int64_t n = steps - 1; n >= 0; n--) {
            int64_t begin = when[n], end = when[n + 1];
            if (recurrent && end > begin)
                for (int64_t h = 0; h < padded; h += LANES) put(gap + h, at(p + h) * at(lam_v + h) - at(q + h) * at(lam_i + h));
            for (int64_t e = begin; e < end; e++) {
                int64_t j = who[e];
                vec flow = {0};
                flow = dot(flow, above + j * width_above, target + (n + 1) * width_above, width_above);
                if (recurrent) flow = dot(flow, recurrent + j * padded, gap, padded);
                float outside = timing ? timing[s * capacity + e] : 0.0f;
                float denominator = z[e];
                if (denominator < floor) {
                    denominator = floor;
                    floored[s]++;
                }
                jumps[e - begin] = (lam_v[j] + (sum(flow) + outside)) / denominator - penalty[s * neurons + j];
            }
            for (int64_t e = begin; e < end; e++) lam_v[who[e]] += jumps[e - begin];
            for (int64_t t = 0; t < tiles; t++)
                for (int64_t l = 0; l < TILE; l += LANES) {
                    int64_t h = t * TILE + l;
                    vec v = at(lam_v + h), i = at(b + h) * at(lam_i + h) + at(k + h) * v;
                    v *= at(a + h);
                    put(lam_i + h, i);
                    put(lam_v + h, v);
                    stream(lam + t * plane + n * TILE + l, i);
                    if (difference) put(difference + (s * (steps + 1) + n) * padded + h, at(p + h) * v - at(q + h) * i);
                }
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
        int64_t *when = starts + s * (steps + 1), e = offsets[s];
        for (int64_t n = 0; n <= steps; n++) {
            while (e < offsets[s + 1] && steps_of[e] < n) e++;
            when[n] = e;
        }
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
        for (int64_t s = begin; s < end; s++)
            for (int64_t n = 0; n < steps; n++)
                for (int64_t e = starts[s * (steps + 1) + n]; e < starts[s * (steps + 1) + n + 1]; e++)
                    event_rows[place[rows[e]]++] = (int32_t)(s * adjoint_rows + n);
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

INLINE void gather_units(const struct source *from, int64_t block, const float *lam)
{
    const int64_t *starts = from->unit_starts + block * (from->units + 1), copies = from->copies;
    const int64_t size = from->last - from->first;
    for (int64_t u = from->first; u < from->last; u++) {
        if (starts[u] == starts[u + 1]) continue;
        for (int64_t k = 0; k < copies; k += COPIES) {
#define WORK(count)                                                                             \
    gather_copies(from->event_rows, starts[u], starts[u + 1], from->delays + k, count, lam, \
                  from->sums + (k * size + u - from->first) * TILE, size)
            WITH_COPIES(copies - k, WORK)
#undef WORK
        }
    }
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
   once, and read at random. */
CLONES void gather(const struct source *sources, int64_t count, int64_t blocks, int64_t block_rows, int64_t plane_rows,
                   const float *adjoint, int64_t padded, const float *scale, int64_t neurons)
{
    for (int64_t t = 0; t < padded / TILE; t++) {
        const float *plane = adjoint + t * plane_rows * TILE;
        for (int64_t c = 0; c < count; c++)
            memset(sources[c].sums, 0, sources[c].copies * (sources[c].last - sources[c].first) * TILE * sizeof(float));
        for (int64_t block = 0; block < blocks; block++) {
            int64_t end = (block + 1) * block_rows < plane_rows ? (block + 1) * block_rows : plane_rows;
            for (int64_t x = block * block_rows * TILE; x < end * TILE; x += LANES) __builtin_prefetch(plane + x, 0, 2);
            for (int64_t c = 0; c < count; c++) gather_units(sources + c, block, plane);
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
