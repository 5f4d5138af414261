/* Forward pass: layers of leaky integrate-and-fire neurons, and leaky integrators at the end; see lanes.h. */

#include "project.h"

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
/* without a branch on who fires, which no processor can predict */
V4 static inline uint64_t reach_v4(vec voltage)
{
    return _mm512_cmp_ps_mask((__m512)voltage, _mm512_set1_ps(1.0f), _CMP_GE_OQ);
}

ADVANCE(advance_v4, V4, reach_v4)
#endif

static advance *advance_here(void)
{
#ifdef CHOOSE
    if (has_v4()) return advance_v4;
#endif
    return advance_portable;
}

/* In step n, whose voltages and threshold crossings are known, neurons are held that fired in the `refractory` steps
   before it; for those that are held for the last time, restarts are their currents. */
static void hold(int64_t n, int64_t refractory, const int64_t *spike_starts, int64_t capacity, const int32_t *spikes,
                 const float *current, float *voltage, uint64_t *words, float *restarts)
{
    int64_t begin = spike_starts[n > refractory ? n - refractory : 0], end = spike_starts[n];
    int64_t last = n >= refractory ? spike_starts[n - refractory + 1] : 0;
    for (int64_t e = begin; e < end && e < capacity; e++) {
        int64_t j = spikes[e];
        voltage[j] = 0.0f;
        words[j / 64] &= ~((uint64_t)1 << j % 64);
        if (e < last) restarts[e] = current[j];
    }
}

/* Steps begin..end of one sample of a hidden layer, from their drive [P / TILE][stride][TILE]: who fires in the steps
   after them. state: V, I, who fired and words, scratch [4 P + TILE]. Spikes beyond capacity are counted, not stored. */
INLINE void fire(const float *drive, int64_t begin, int64_t end, int64_t stride, int64_t padded, const float *recurrent,
                 const float *a, const float *b, const float *c, advance *step, float *state, int64_t capacity,
                 int64_t refractory, int32_t *spikes, float *denominators, int64_t *spike_starts, float *restarts)
{
    float *voltage = state, *current = state + padded;
    int32_t *fired = (int32_t *)(state + 2 * padded);
    uint64_t *words = (uint64_t *)(state + 3 * padded);
    for (int64_t n = begin; n < end; n++) {
        int64_t count = recurrent ? spike_starts[n + 1] - spike_starts[n] : 0, total = spike_starts[n + 1], found = 0;
        step(drive + (n - begin) * TILE, stride, recurrent, padded, fired, count, a, b, c, voltage, current, words);
        if (refractory) hold(n + 1, refractory, spike_starts, capacity, spikes, current, voltage, words, restarts);
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

/* What arrives through a delay line, [B][P / TILE][N][TILE], for items first..last: one of P / TILE tiles and one of
   `parts` ranges of the samples each, ranges first. All samples in turn read a tile's weights [U][K][TILE], which stay
   in the second-level cache; all tiles of a delay line would not. */
CLONES void project_all(const int32_t *rows, const int64_t *starts, int64_t samples, int64_t parts, int64_t first,
                        int64_t last, int64_t steps, const int64_t *delays, int64_t copies, int64_t units,
                        const float *weights, int64_t padded, float *drive)
{
    FLUSH_DENORMALS;
    for (int64_t item = first; item < last; item++) {
        int64_t t = item / parts, part = item % parts;
        for (int64_t s = samples * part / parts; s < samples * (part + 1) / parts; s++)
            project(rows, starts + s * (steps + 1), steps, delays, copies, weights + t * copies * units * TILE,
                    drive + (s * padded + t * TILE) * steps);
    }
}

/* Hidden layer, samples first..last. recurrent: [H][P] or null; projected: what project_all made of a delay line, or
   null; then weights: [P / TILE][U][TILE], and drive: scratch [CHUNK][P]; state: scratch [4 P + TILE]; other arguments
   as numba/forward.py's forward_hidden, restarts zeros before. */
CLONES void forward_hidden(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
                           int64_t units, const float *projected, const float *weights, const float *recurrent,
                           const float *a, const float *b, const float *c, int64_t padded, float *drive, float *state,
                           int64_t capacity, int64_t refractory, int32_t *spikes, float *denominators,
                           int64_t *spike_starts, float *restarts)
{
    FLUSH_DENORMALS;
    advance *step = advance_here();
    /* a drive of some steps stays in the second-level cache */
    const int64_t chunk = projected ? steps : CHUNK;
    for (int64_t s = first; s < last; s++) {
        const int64_t *when = starts + s * (steps + 1);
        int64_t *fired_until = spike_starts + s * (steps + 1);
        memset(state, 0, 2 * padded * sizeof(float));
        fired_until[0] = fired_until[1] = 0; /* the state before the first step is 0 */
        for (int64_t begin = 0; begin < steps; begin += chunk) {
            int64_t size = begin + chunk < steps ? chunk : steps - begin;
            for (int64_t t = 0; !projected && t < padded / TILE; t++)
                project_now(rows, when + begin, size, weights + t * units * TILE, drive + t * size * TILE);
            /* after the last step nobody fires any more */
            fire(projected ? projected + s * steps * padded : drive, begin,
                 begin + size < steps ? begin + size : steps - 1, size, padded, recurrent, a, b, c, step, state,
                 capacity, refractory, spikes + s * capacity, denominators + s * capacity, fired_until,
                 refractory ? restarts + s * capacity : 0);
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
CLONES void forward_output(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
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

/* Maxima of the outputs' voltages, samples first..last: values, peaks, shares: [B][O], see numba/forward.py's
   forward_max. drive: scratch [P / TILE][N][TILE]; state: scratch [6 P]; when: scratch [P]. */
CLONES void forward_max(const int32_t *rows, const int64_t *starts, int64_t first, int64_t last, int64_t steps,
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
