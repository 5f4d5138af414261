/* What arrives in each step: sums of weights over events. */

#ifndef EVENTSPEECH_PROJECT_H
#define EVENTSPEECH_PROJECT_H

#include "lanes.h"

/* steps of a drive that stays in the second-level cache */
#define CHUNK 256

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

#endif
