/* Weight gradients, gathered by presynaptic unit; see lanes.h. */

#include "lanes.h"

TELL_SOURCES

/* Sort events by block of samples, unit, sample and time, for blocks first..last. event_rows: sample * adjoint_rows +
   step of each event, all samples' together from 0 on; unit_starts: [blocks][U + 1]; place: scratch [U + 1]. */
void sort(const int32_t *rows, const int64_t *starts, int64_t samples, int64_t first, int64_t last,
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
#pragma GCC unroll 2
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
    put(sums, at(sums) + (low[0] + low[1]));
    put(sums + LANES, at(sums + LANES) + (high[0] + high[1]));
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
