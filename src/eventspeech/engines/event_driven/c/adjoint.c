/* Backward pass: the mirror image of forward.c, with Eventprop's jump at the recorded spikes; see lanes.h. */

#include "lanes.h"

/* Adjoint of the outputs, samples first..last of B. drive: [B][P]; adjoint: [P / TILE][B][R][TILE], lamI, zero from row
   N on, so that what arrives after the end reads zeros; difference: [B][N + 1][P], p lamV - q lamI. */
CLONES void adjoint_output(const float *drive, const float *weighting, int64_t samples, int64_t first, int64_t last,
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

/* The same from the maxima. drive, shares: [B][P]; peaks: [B][P]; see numba/adjoint.py's adjoint_max. */
CLONES void adjoint_max(const float *drive, const int32_t *peaks, const float *shares, int64_t samples, int64_t first,
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
   recurrent: [H][P] or null; penalty: [B][H]; timing: [B][capacity] or null; state: scratch [5 P]; difference:
   [B][N + 1][P] or null. Other arguments as numba/adjoint.py's adjoint_hidden; adjoint as in adjoint_output. */
CLONES void adjoint_hidden(const int32_t *spikes, const float *denominators, const int64_t *spike_starts,
                           const float *restarts, int64_t refractory, int64_t capacity, int64_t samples, int64_t first, int64_t last, int64_t steps,
                           int64_t adjoint_rows, int64_t neurons, int64_t padded, const float *above,
                           int64_t width_above, const float *difference_above,
                           const float *recurrent, const float *penalty, const float *timing, float floor,
                           const float *a, const float *b, const float *k, const float *p, const float *q, float *state,
                           float *adjoint, float *difference, int64_t *floored)
{
    FLUSH_DENORMALS;
    int64_t plane = samples * adjoint_rows * TILE;
    float *lam_v = state, *lam_i = state + padded, *scratch = state + 2 * padded, *jumps = state + 3 * padded;
    float *carried = state + 4 * padded; /* lamV at the restart that follows */
    retreat *back = retreat_here();
    for (int64_t s = first; s < last; s++) {
        const int32_t *who = spikes + s * capacity;
        const float *z = denominators + s * capacity;
        const int64_t *when = spike_starts + s * (steps + 1);
        const float *target = difference_above + s * (steps + 1) * width_above;
        float *lam = adjoint + s * adjoint_rows * TILE;
        float *flow = difference ? difference + (s * (steps + 1) + steps) * padded : recurrent ? scratch : 0;
        memset(state, 0, 5 * padded * sizeof(float));
        for (int64_t t = 0; t < padded / TILE; t++)
            memset(lam + t * plane + steps * TILE, 0, (adjoint_rows - steps) * TILE * sizeof(float));
        if (difference) memset(flow, 0, padded * sizeof(float));
        for (int64_t n = steps - 1; n >= 0; n--) {
            int64_t begin = when[n], end = when[n + 1];
            for (int64_t e = begin; e < end; e++) jumps[e - begin] = timing ? timing[s * capacity + e] : 0.0f;
            all_dots(end - begin, who + begin, above, target + (n + 1) * width_above, width_above, jumps);
            if (recurrent) all_dots(end - begin, who + begin, recurrent, flow, padded, jumps);
            if (refractory && n >= refractory)
                for (int64_t e = when[n - refractory]; e < when[n - refractory + 1]; e++) {
                    carried[who[e]] = lam_v[who[e]];
                    lam_v[who[e]] = 0.0f;
                }
            for (int64_t e = begin; e < end; e++) {
                int64_t j = who[e];
                float denominator = z[e];
                if (denominator < floor) {
                    denominator = floor;
                    floored[s]++;
                }
                float own = refractory ? carried[j] * restarts[s * capacity + e] : lam_v[j];
                lam_v[j] += (own + jumps[e - begin]) / denominator - penalty[s * neurons + j];
            }
            if (difference) flow -= padded;
            back(padded, plane, a, b, k, p, q, lam_v, lam_i, flow, lam + n * TILE);
        }
    }
    streamed();
}
