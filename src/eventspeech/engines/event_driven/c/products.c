#include "project.h"

/* What the gradients of time constants are made of, samples first..last of B: sums over steps of lamV (V - I), lamV I
   and lamI I. V and I of a tile are computed once more, as in `fire` and `forward_output`, and stay in registers;
   lamV[n + 1], after the jumps of step n, is (lamI[n] - b lamI[n + 1]) / k.

   rows to padded: as project_all and forward_hidden take them; spikes, spike_starts: what the latter gave, or null for
   the outputs; refractory: while a neuron is held lamV is 0, so that its voltage matters from the restart on; inverse_k:
   [P]; adjoint: as adjoint_output and adjoint_hidden gave it; projected: what project_all made of a delay line, or null,
   then weights and drive, scratch [N][TILE], are not; sums: [B][3][P]. */
CLONES void products(const int32_t *rows, const int64_t *starts, int64_t samples, int64_t first, int64_t last,
                         int64_t steps, const int64_t *delays, int64_t copies, int64_t units, const float *weights,
                         const float *recurrent, const float *a, const float *b, const float *c, int64_t padded,
                         const int32_t *spikes, const int64_t *spike_starts, int64_t capacity, int64_t refractory,
                         const float *inverse_k, const float *adjoint, int64_t adjoint_rows, const float *projected,
                         float *drive, float *sums)
{
    FLUSH_DENORMALS;
    const int64_t chunk = copies == 1 && delays[0] == 0 ? CHUNK : steps; /* as where spikes were found */
    for (int64_t t = 0; t < padded / TILE; t++)
        for (int64_t s = first; s < last; s++) {
            const int64_t *arriving = starts + s * (steps + 1), *when = spikes ? spike_starts + s * (steps + 1) : 0;
            const int32_t *who = spikes ? spikes + s * capacity : 0;
            const float *lam = adjoint + (t * samples + s) * adjoint_rows * TILE;
            const float *within = recurrent ? recurrent + t * TILE : 0;
            const float *arrived = 0; /* in step n */
            float voltage[TILE];
            vec v[2] = {{0}}, i[2] = {{0}}, drift[2] = {{0}}, charge[2] = {{0}}, current[2] = {{0}};
            for (int64_t n = 0, until = 0; n < steps; n++, arrived += TILE) {
                if (n == until) {
                    until = n + chunk < steps ? n + chunk : steps;
                    arrived = projected ? projected + (s * padded + t * TILE) * steps : drive;
                    if (!projected)
                        project(rows, arriving + n, until - n, delays, copies, weights + t * copies * units * TILE,
                                drive);
                }
#pragma GCC unroll 2
                for (int half = 0; half < 2; half++) {
                    int64_t l = half * LANES, h = t * TILE + l;
                    vec lam_i = at(lam + (n + 1) * TILE + l);
                    vec lam_v = (at(lam + n * TILE + l) - at(b + h) * lam_i) * at(inverse_k + h);
                    drift[half] += lam_v * (v[half] - i[half]);
                    charge[half] += lam_v * i[half];
                    current[half] += lam_i * i[half];
                    v[half] = at(a + h) * v[half] + at(c + h) * i[half];
                    i[half] = at(b + h) * i[half] + at(arrived + l);
                }
                if (!when) continue;
                for (int64_t e = when[n]; within && e < when[n + 1]; e++) {
                    i[0] += at(within + who[e] * padded);
                    i[1] += at(within + who[e] * padded + LANES);
                }
                int64_t fired = n - refractory; /* whose neurons restart now */
                if (fired < 0 || when[fired] == when[fired + 1]) continue;
                put(voltage, v[0]);
                put(voltage + LANES, v[1]);
                for (int64_t e = when[fired]; e < when[fired + 1]; e++)
                    if (who[e] / TILE == t) voltage[who[e] % TILE] = 0.0f;
                v[0] = at(voltage);
                v[1] = at(voltage + LANES);
            }
#pragma GCC unroll 2
            for (int half = 0; half < 2; half++) {
                float *to = sums + s * 3 * padded + t * TILE + half * LANES;
                put(to, drift[half]);
                put(to + padded, charge[half]);
                put(to + 2 * padded, current[half]);
            }
        }
}
