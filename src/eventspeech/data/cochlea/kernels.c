/* Compiled loops of the cochlea encoder; membrane.py and nerve.py are the readable reference.

   A block is 16 channels, side by side in memory: what is written as a loop over lanes becomes vector instructions.
   Nothing is contracted to fused operations (see setup.py), so that all machines, and numba's loops, round alike.

   Legend: K bins of the spectrum, and as many samples at 24 kHz; N steps that are simulated, N <= K. */

#include <stdint.h>
#include <string.h>

#include "../../compiled.h"

TELL_SOURCES

#define LANES 8
#define BLOCK (2 * LANES)
#define TAPS 6

/* unrolled before they are vectorised, such short loops would stay scalar */
#define EACH_LANE _Pragma("GCC unroll 1") for (int lane = 0; lane < LANES; lane++)
#define EACH_CHANNEL _Pragma("GCC unroll 1") for (int i = 0; i < BLOCK; i++)

/* ---- Membrane: two real channels travel as real and imaginary part of one complex transform ---- */

typedef struct {
    double re, im;
} number;

typedef struct {
    double re[LANES], im[LANES];
} row;

INLINE number get(const row *from, int lane) { return (number){from->re[lane], from->im[lane]}; }
INLINE void put(row *to, int lane, number a)
{
    to->re[lane] = a.re;
    to->im[lane] = a.im;
}
INLINE number plus(number a, number b) { return (number){a.re + b.re, a.im + b.im}; }
INLINE number minus(number a, number b) { return (number){a.re - b.re, a.im - b.im}; }
INLINE number turned(number a) { return (number){-a.im, a.re}; } /* times i */
INLINE number conjugate(number a) { return (number){a.re, -a.im}; }
INLINE number times(number a, number b) { return (number){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

INLINE void prefetch(const row *a)
{
    __builtin_prefetch(a->re);
    __builtin_prefetch(a->im);
}

/* Response of a channel at a bin: the table's entries, weighted, times the stimulus. */
INLINE number response(const double *table, const double *weights, number stimulus)
{
    number sum = {weights[0] * table[0], weights[0] * table[BLOCK]};
#pragma GCC unroll 5
    for (int tap = 1; tap < TAPS; tap++) {
        sum.re += weights[tap] * table[tap * 2 * BLOCK];
        sum.im += weights[tap] * table[tap * 2 * BLOCK + BLOCK];
    }
    return times(sum, stimulus);
}

/* packed[k] = a + i b, where a and b are the Hermitian parts of the spectra of the two halves of a block. Only the bins
   below `used` and their mirror images are filled. */
INLINE void pack(const number *stimulus, int64_t bins, int64_t used, const int64_t *index, const double *weights,
                 const double *table, row *packed)
{
    for (int64_t k = 0; k < used; k++) {
        const double *entry = table + index[k] * 2 * BLOCK, *w = weights + k * TAPS;
        int64_t mirror = k ? bins - k : 0;
        row here, there;
        EACH_LANE {
            number a = response(entry + lane, w, stimulus[k]), b = response(entry + LANES + lane, w, stimulus[k]);
            put(&here, lane, plus(a, turned(b)));
            put(&there, lane, plus(conjugate(a), turned(conjugate(b))));
        }
        if (k < mirror) {
            packed[k] = here;
            packed[mirror] = there;
        } else if (k == mirror) {
            EACH_LANE put(&packed[k], lane, plus(get(&here, lane), get(&there, lane)));
        } else { /* both were filled when k was what the mirror is now */
            EACH_LANE put(&packed[k], lane, plus(get(&packed[k], lane), get(&here, lane)));
            EACH_LANE put(&packed[mirror], lane, plus(get(&packed[mirror], lane), get(&there, lane)));
        }
    }
}

/* One step of the self-sorting (Stockham) inverse transform: m groups of `radix` rows at distance m stride. */
INLINE void radix4(const row *restrict x, row *restrict y, int64_t m, int64_t stride, const number *roots, int64_t step)
{
    for (int64_t p = 0; p < m; p++) {
        number w1 = roots[p * step], w2 = roots[2 * p * step], w3 = roots[3 * p * step];
        for (int64_t q = 0; q < stride; q++) {
            const row *from = x + q + stride * p;
            row *to = y + q + stride * 4 * p;
            EACH_LANE {
                number a = get(from, lane), b = get(from + stride * m, lane);
                number c = get(from + 2 * stride * m, lane), d = get(from + 3 * stride * m, lane);
                number even = plus(a, c), odd = plus(b, d), e = minus(a, c), o = turned(minus(b, d));
                put(to, lane, plus(even, odd));
                put(to + stride, lane, times(plus(e, o), w1));
                put(to + 2 * stride, lane, times(minus(even, odd), w2));
                put(to + 3 * stride, lane, times(minus(e, o), w3));
            }
        }
    }
}

INLINE void radix2(const row *restrict x, row *restrict y, int64_t m, int64_t stride, const number *roots, int64_t step)
{
    for (int64_t p = 0; p < m; p++)
        for (int64_t q = 0; q < stride; q++)
            EACH_LANE {
                number a = get(x + q + stride * p, lane), b = get(x + q + stride * (p + m), lane);
                put(y + q + stride * 2 * p, lane, plus(a, b));
                put(y + q + stride * (2 * p + 1), lane, times(minus(a, b), roots[p * step]));
            }
}

/* Any odd radix: terms t and radix - t share their cosines and sines. turn: distance of the radix-th roots of one. */
INLINE void radix_odd(const row *restrict x, row *restrict y, int radix, int64_t m, int64_t stride, const number *roots,
                      int64_t step, int64_t turn)
{
    for (int64_t p = 0; p < m; p++)
        for (int64_t q = 0; q < stride; q++) {
            const row *from = x + q + stride * p;
            row *to = y + q + stride * radix * p;
            int64_t far = stride * m;
            EACH_LANE {
                number first = get(from, lane), total = first;
#pragma GCC unroll 2
                for (int t = 1; t <= radix / 2; t++)
                    total = plus(total, plus(get(from + t * far, lane), get(from + (radix - t) * far, lane)));
                put(to, lane, total);
#pragma GCC unroll 2
                for (int j = 1; j <= radix / 2; j++) {
                    number even = first, odd = {0.0, 0.0};
#pragma GCC unroll 2
                    for (int t = 1; t <= radix / 2; t++) {
                        number w = roots[j * t % radix * turn];
                        number a = get(from + t * far, lane), b = get(from + (radix - t) * far, lane);
                        even.re += w.re * (a.re + b.re);
                        even.im += w.re * (a.im + b.im);
                        odd.re -= w.im * (a.im - b.im);
                        odd.im += w.im * (a.re - b.re);
                    }
                    put(to + j * stride, lane, times(plus(even, odd), roots[j * p * step]));
                    put(to + (radix - j) * stride, lane, times(minus(even, odd), roots[(radix - j) * p * step]));
                }
            }
        }
}

/* Inverse transform of n rows; returns where the result is: `a`, `b`, or `in` if n is 1. `b` may be `in`.
   roots: exp(2 pi i k / K), k < K, K a multiple of n. */
INLINE const row *transform(const row *in, int64_t n, row *a, row *b, const number *roots, int64_t bins)
{
    int64_t stride = 1;
    for (int64_t m = n; m > 1;) {
        int64_t radix = m % 4 == 0 ? 4 : m % 2 == 0 ? 2 : 3;
        while (m % radix) radix += 2;
        int64_t step = bins / m;
        m /= radix;
        switch (radix) {
        case 2: radix2(in, a, m, stride, roots, step); break;
        case 3: radix_odd(in, a, 3, m, stride, roots, step, bins / 3); break;
        case 4: radix4(in, a, m, stride, roots, step); break;
        case 5: radix_odd(in, a, 5, m, stride, roots, step, bins / 5); break;
        default: radix_odd(in, a, (int)radix, m, stride, roots, step, bins / radix);
        }
        stride *= radix;
        row *other = b;
        in = b = a;
        a = other;
    }
    return in;
}

/* Velocity of a block's channels: sample r + c rows is found in velocity[r columns + c], r < rows, c < columns,
   K = rows columns. The transform takes two passes, whose parts fit into the first-level cache.
   stimulus: [K], its spectrum / 2 K; table: [.][2 BLOCK]; a, b: scratch [max(rows, columns)]. */
CLONES void membrane_velocity(const number *stimulus, int64_t bins, int64_t used, const int64_t *index,
                              const double *weights, const double *table, const number *roots, int64_t rows,
                              int64_t columns, row *a, row *b, row *velocity)
{
    pack(stimulus, bins, used, index, weights, table, velocity);
    for (int64_t column = 0; column < columns; column++) {
        for (int64_t r = 0; r < rows; r++) {
            int64_t k = r * columns + column;
            prefetch(&velocity[k + 1]); /* for the next column */
            if (k < used || k > bins - used)
                b[r] = velocity[k];
            else
                memset(&b[r], 0, sizeof *b);
        }
        const row *found = transform(b, rows, a, b, roots, bins);
        for (int64_t r = 0; r < rows; r++)
            EACH_LANE put(&velocity[r * columns + column], lane, times(get(&found[r], lane), roots[r * column]));
    }
    for (int64_t r = 0; r < rows; r++) {
        row *part = velocity + r * columns;
        memcpy(part, transform(part, columns, a, b, roots, bins), columns * sizeof *part);
    }
}

/* ---- Nerve: hair cell, fibres, bushy cell ---- */

#define RATE_HZ 24000.0
#define REPLENISHMENT 5.05
#define RELEASE 2000.0
#define LOSS 2500.0
#define REUPTAKE 6580.0
#define REPROCESSING 66.3
#define PERMEABILITY_A 5.0
#define PERMEABILITY_B 300.0
#define FIRING 50000.0
#define POOL 1.0
#define REFRACTORY 24

typedef struct {
    double pool[BLOCK], cleft[BLOCK], store[BLOCK];       /* hair cell: transmitter */
    uint32_t a[BLOCK], b[BLOCK], c[BLOCK], counter;       /* generator */
    float free[BLOCK], resting[REFRACTORY][BLOCK];        /* fibres; those at rest, by the step in which they fired */
    double current[BLOCK], voltage[BLOCK], until[BLOCK];  /* bushy cell; the step from which on it may charge */
} state;

INLINE double positive(double a) { return a > 0.0 ? a : 0.0; }

/* Advance the hair cells by a step and give their fibres' probabilities of firing. */
INLINE void release(state *s, const double *velocity, float *probability)
{
    const double dt = 1.0 / RATE_HZ;
    EACH_CHANNEL {
        double pool = s->pool[i], cleft = s->cleft[i], store = s->store[i];
        double drive = positive(velocity[i] + PERMEABILITY_A);
        double ejected = RELEASE * dt * drive / (drive + PERMEABILITY_B) * pool;
        double reprocessed = REPROCESSING * dt * store;
        s->pool[i] = positive(pool + REPLENISHMENT * dt * positive(POOL - pool) - ejected + reprocessed);
        s->store[i] = positive(store + REUPTAKE * dt * cleft - reprocessed);
        cleft = positive(cleft + ejected - (LOSS + REUPTAKE) * dt * cleft);
        s->cleft[i] = cleft;
        probability[i] = (float)(FIRING * dt * cleft);
    }
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

INLINE void draw(state *s, float *uniform)
{
    EACH_CHANNEL {
        uint32_t drawn = s->a[i] + s->b[i] + s->counter, b = s->b[i], c = s->c[i];
        s->a[i] = b ^ (b >> 9);
        s->b[i] = c + (c << 3);
        s->c[i] = ((c << 21) | (c >> 11)) + drawn;
        uniform[i] = (float)(int32_t)(drawn >> 8) * 0x1p-24f;
    }
    s->counter++;
}

INLINE void seed_generator(state *s, uint64_t seed, int64_t first_channel)
{
    float unused[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        uint64_t stream = mixed(seed) + (uint64_t)(first_channel + i + 1) * 0xD1342543DE82EF95u;
        uint64_t first = mixed(stream), second = mixed(stream + 0x9E3779B97F4A7C15u);
        s->a[i] = (uint32_t)first, s->b[i] = (uint32_t)(first >> 32), s->c[i] = (uint32_t)second;
    }
    s->counter = 1;
    for (int round = 0; round < 12; round++) draw(s, unused);
}

/* Binomial numbers of at most three; -1, and a return value that is not 0, where they are not known. */
INLINE int32_t fire(const float *probability, const float *free, const float *uniform, float *fired)
{
    const float f2 = 1.0f / 2, f3 = 1.0f / 3, f4 = 1.0f / 4, f5 = 1.0f / 5, f6 = 1.0f / 6, f7 = 1.0f / 7;
    const float f24 = 1.0f / 24, f120 = 1.0f / 120;
    int32_t unusual = 0;
    EACH_CHANNEL {
        float p = probability[i], n = free[i], u = uniform[i];
        float hazard = p * (1.0f + p * (f2 + p * (f3 + p * (f4 + p * (f5 + p * (f6 + p * f7))))));
        float x = n * hazard * f4;
        float none = 1.0f - x * (1.0f - x * (f2 - x * (f6 - x * (f24 - x * f120))));
        none *= none;
        none *= none;
        float odds = p / (1.0f - p);
        float exactly1 = none * n * odds;
        float exactly2 = exactly1 * (n - 1.0f) * odds * f2;
        float exactly3 = exactly2 * (n - 1.0f - 1.0f) * odds * f3;
        float below2 = none + exactly1, below3 = below2 + exactly2, known = below3 + exactly3;
        known = p < 0.125f ? known : 0.0f;
        known = x < f4 ? known : 0.0f;
        float count = (u >= none ? 1.0f : 0.0f) + (u >= below2 ? 1.0f : 0.0f) + (u >= below3 ? 1.0f : 0.0f);
        fired[i] = u < known ? count : -1.0f;
        unusual |= u >= known;
    }
    return unusual;
}

/* A binomial number by inversion, whatever the probability. */
static float fire_many(double p, double n, double u)
{
    if (p >= 1.0) return (float)n;
    double term = 1.0;
    for (int fibre = 0; fibre < n; fibre++) term *= 1.0 - p;
    double total = term, count = 0.0;
    while (u >= total && count < n) {
        term *= (n - count) / (count + 1.0) * p / (1.0 - p);
        total += term;
        count += 1.0;
    }
    return (float)count;
}

/* Advance the bushy cells by a step; returns whether one crosses the threshold. */
INLINE int32_t charge(state *s, const float *fired, double step, double weight, double decay_mem, double decay_syn)
{
    int32_t crossing = 0;
    EACH_CHANNEL {
        double current = s->current[i] * decay_syn + fired[i];
        double voltage = s->voltage[i] * decay_mem + current * weight;
        voltage = step < s->until[i] ? 0.0 : voltage;
        s->current[i] = current;
        s->voltage[i] = voltage;
        crossing |= voltage >= 1.0;
    }
    return crossing;
}

/* Spikes of a block, by step. velocity: as membrane_velocity leaves it; rest: pool, cleft and store of a resting hair
   cell; bushy: weight, decay of membrane and of synapse; spike_steps, spike_channels: where the spikes go.
   Returns their number. */
CLONES int64_t nerve_spikes(const row *velocity, int64_t rows, int64_t columns, int64_t steps, uint64_t seed,
                            int64_t first_channel, int64_t fibres, const double *rest, const double *bushy,
                            int64_t *spike_steps, int64_t *spike_channels)
{
    state s;
    memset(&s, 0, sizeof s);
    seed_generator(&s, seed, first_channel);
    EACH_CHANNEL {
        s.pool[i] = rest[0], s.cleft[i] = rest[1], s.store[i] = rest[2];
        s.free[i] = (float)fibres;
    }
    int64_t count = 0, r = 0, column = 0, slot = 0;
    for (int64_t step = 0; step < steps; step++) {
        const row *now = velocity + r * columns + column;
        float probability[BLOCK], uniform[BLOCK], *fired = s.resting[slot];
        prefetch(now + 1); /* for the next column */
        release(&s, (const double *)now, probability);
        draw(&s, uniform);
        /* the fibres that fired in the last step congruent to this one are free again */
        EACH_CHANNEL s.free[i] += fired[i];
        if (fire(probability, s.free, uniform, fired))
            for (int i = 0; i < BLOCK; i++)
                if (fired[i] < 0.0f) fired[i] = fire_many(probability[i], s.free[i], uniform[i]);
        EACH_CHANNEL s.free[i] -= fired[i];
        if (charge(&s, fired, (double)step, bushy[0], bushy[1], bushy[2]))
            for (int i = 0; i < BLOCK; i++)
                /* a crossing in the last step is no spike: in lauscher the reset, a step later, makes it one */
                if (s.voltage[i] >= 1.0 && step + 1 < steps) {
                    spike_steps[count] = step;
                    spike_channels[count++] = first_channel + i;
                    s.voltage[i] = 0.0;
                    s.until[i] = (double)(step + 1 + REFRACTORY);
                }
        slot = slot + 1 < REFRACTORY ? slot + 1 : 0;
        if (++r == rows) r = 0, column++;
    }
    return count;
}
