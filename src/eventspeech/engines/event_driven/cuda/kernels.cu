// Kernels of engine `cuda`: whole passes in single launches, the equations of engines/equations.py.
//
// Legend: B samples, N steps, H neurons. Matrices have rows of whole quads (four numbers, one load): columns above H
// are zero. Presynaptic events come as `rows` (the unit) and `steps_of`; those of sample s and step n are
// starts[s * (N + 1) + n] up to the next entry. All sums have a fixed order, and what is added atomically is whole
// numbers, so results are bit-identical from run to run. Launches are in launches.py, shapes of arguments too.
//
// Compiled when first used, for LANE_QUADS (quads of a row that each lane of a warp holds); tests compile this file for
// the host and run its threads one by one.

#define ALL 0xffffffffu
#define WARP 32
#define BATCH 8  // rows that are on their way at once
#define ADJOINT_THREADS (WARP * (LANE_QUADS > 16 ? LANE_QUADS : 16))  // the most that launches.py asks for

struct alignas(16) Quad {
    float x[4];
};

static __device__ __forceinline__ void add(Quad &total, const Quad &other) {
    for (int i = 0; i < 4; ++i) total.x[i] += other.x[i];
}

static __device__ __forceinline__ int lane_of() { return threadIdx.x % WARP; }
static __device__ __forceinline__ unsigned lanes_below() { return (1u << lane_of()) - 1u; }

static __device__ __forceinline__ float warp_sum(float value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(ALL, value, distance);
    return value;
}

// Adds to `total` one column of quads of the rows chosen[first..last).
static __device__ __forceinline__ void add_rows(Quad &total, const Quad *__restrict__ column, int quads,
                                                const int *chosen, int first, int last) {
    for (int e = first; e < last; e += BATCH) {
        Quad found[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            found[i] = Quad{};
            if (e + i < last) found[i] = column[(size_t)chosen[e + i] * quads];
        }
#pragma unroll
        for (int i = 0; i < BATCH; i += 2) {
            add(found[i], found[i + 1]);
            add(total, found[i]);
        }
    }
}

// starts[s, n]: the first event of sample s that is not before step n. One thread an entry.
extern "C" __global__ void find_starts(const int *steps_of, const int *offsets, int samples, int steps, int *starts) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x, sample = place / (steps + 1), step = place % (steps + 1);
    if (sample >= samples) return;
    int low = offsets[sample], high = offsets[sample + 1];
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (steps_of[middle] < step) low = middle + 1; else high = middle;
    }
    starts[place] = low;
}

// drive[s, n]: the sum of the rows of weights that arrive in step n (or what is added to it). One thread a quad.
extern "C" __global__ void project(const int *__restrict__ rows, const int *__restrict__ starts,
                                   const int *__restrict__ delays, int copies, int units,
                                   const Quad *__restrict__ weights, int quads, int samples, int steps,
                                   int accumulate, Quad *__restrict__ drive) {
    const int place = blockIdx.x * blockDim.y + threadIdx.y, sample = place / steps, step = place % steps;
    if (sample >= samples) return;
    Quad *target = drive + (size_t)place * quads + threadIdx.x;
    Quad total{};
    if (accumulate) total = *target;
    for (int copy = 0; copy < copies; ++copy) {
        const int source = step - delays[copy];
        if (source < 0) continue;
        const int *range = starts + (size_t)sample * (steps + 1) + source;
        const Quad *column = weights + (size_t)copy * units * quads + threadIdx.x;
        add_rows(total, column, quads, rows, range[0], range[1]);
    }
    *target = total;
}

// Runs a spiking layer: a block a sample, a thread four neurons. `recurrent` may be null. Spikes beyond `capacity` are
// counted and not stored. Samples are numbered from `first_sample` in what is written. Without a refractory period
// `restarts` is null, else it holds zeros before.
extern "C" __global__ void __launch_bounds__(WARP *LANE_QUADS)
forward_hidden(const Quad *__restrict__ drive, const Quad *__restrict__ recurrent, const Quad *a_of, const Quad *b_of,
               const Quad *c_of, int quads, int steps, int capacity, int refractory, int first_sample,
               int *__restrict__ spikes, int *__restrict__ spike_steps, float *__restrict__ denominators,
               float *__restrict__ restarts, int *__restrict__ starts, int *__restrict__ counts) {
    extern __shared__ Quad shared[];
    int *fired = (int *)shared;                  // [4 * quads], neurons of this step's spikes
    int *warp_counts = fired + 4 * quads;        // [2, warps], of even and odd steps: one barrier less
    const int warps = blockDim.x / WARP, warp = threadIdx.x / WARP, sample = first_sample + blockIdx.x;
    const bool mine = threadIdx.x < quads;
    const size_t base = (size_t)sample * capacity;
    const Quad *input = drive + (size_t)blockIdx.x * steps * quads + threadIdx.x;
    Quad a{}, b{}, c{}, voltage{}, current{}, next{};
    int own[4] = {0, 0, 0, 0}, total = 0;
    int free[4] = {0, 0, 0, 0}, latest[4] = {-1, -1, -1, -1};  // when held no more, and the place of the last spike
    if (mine) a = a_of[threadIdx.x], b = b_of[threadIdx.x], c = c_of[threadIdx.x], next = input[0];
    int *first = starts + (size_t)sample * (steps + 1);
    if (threadIdx.x == 0) first[0] = (int)base;
    for (int n = 0; n < steps; ++n) {
        const Quad arriving = next;
        if (mine && n + 1 < steps) next = input[(size_t)(n + 1) * quads];
        bool fires[4];
        int before = 0, in_warp = 0;
        for (int i = 0; i < 4; ++i) {
            voltage.x[i] = a.x[i] * voltage.x[i] + c.x[i] * current.x[i];
            if (restarts && n < free[i]) {
                voltage.x[i] = 0.0f;
                if (n + 1 == free[i] && latest[i] >= 0) restarts[latest[i]] = current.x[i];
            }
            fires[i] = voltage.x[i] >= 1.0f;
            const unsigned lanes = __ballot_sync(ALL, fires[i]);
            before += __popc(lanes & lanes_below());
            in_warp += __popc(lanes);
        }
        int *const counted = warp_counts + (n % 2) * warps;
        if (lane_of() == 0) counted[warp] = in_warp;
        __syncthreads();
        int count = 0;
        for (int w = 0; w < warps; ++w) {
            if (w < warp) before += counted[w];
            count += counted[w];
        }
        for (int i = 0; i < 4; ++i) {
            if (!fires[i]) continue;
            const int neuron = 4 * threadIdx.x + i;
            fired[before] = neuron;
            free[i] = n + 1 + refractory;
            latest[i] = -1;
            if (total + before < capacity) {
                latest[i] = (int)base + total + before;
                spikes[base + total + before] = neuron;
                spike_steps[base + total + before] = n;
                denominators[base + total + before] = current.x[i] - voltage.x[i];
            }
            ++before;
            ++own[i];
            voltage.x[i] = 0.0f;
        }
        for (int i = 0; i < 4; ++i) current.x[i] = b.x[i] * current.x[i] + arriving.x[i];
        if (recurrent && count > 0) {
            __syncthreads();
            if (mine) add_rows(current, recurrent + threadIdx.x, quads, fired, 0, count);
        }
        total += count;
        if (threadIdx.x == 0) first[n + 1] = (int)(base + total);
    }
    if (!mine) return;
    for (int i = 0; i < 4; ++i) counts[((size_t)sample * quads + threadIdx.x) * 4 + i] = own[i];
}

// Readout `sum`: one thread an output. `trace` [B, N, outputs] may be null.
extern "C" __global__ void forward_output(const float *__restrict__ drive, const float *a_of, const float *b_of,
                                          const float *c_of, const double *__restrict__ weighting, int outputs,
                                          int stride, int samples, int steps, double *logits,
                                          float *__restrict__ trace) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x, sample = place / outputs, output = place % outputs;
    if (sample >= samples) return;
    const float a = a_of[output], b = b_of[output], c = c_of[output];
    const float *input = drive + (size_t)sample * steps * stride + output;
    float voltage = 0.0f, current = 0.0f;
    double logit = 0.0;
#pragma unroll 8
    for (int n = 0; n < steps; ++n) {
        logit += weighting[n] * voltage;
        if (trace) trace[((size_t)sample * steps + n) * outputs + output] = voltage;
        voltage = a * voltage + c * current;
        current = b * current + input[(size_t)n * stride];
    }
    logits[place] = logit;
}

// Readout `max`: one thread an output; peaks and shares have rows of whole quads.
extern "C" __global__ void forward_max(const float *__restrict__ drive, const float *a_of, const float *b_of,
                                       const float *c_of, int outputs, int stride, int samples, int steps,
                                       double *values, int *peaks, float *shares) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x, sample = place / outputs, output = place % outputs;
    if (sample >= samples) return;
    const float a = a_of[output], b = b_of[output], c = c_of[output];
    const float *input = drive + (size_t)sample * steps * stride + output;
    float voltage = 0.0f, current = 0.0f, best = 0.0f;
    float before = 0.0f;             // the current without what has just arrived
    float rise = 0.0f, fall = 0.0f;  // after the maximum, of the voltage without what has just arrived
    int peak = 0;
    for (int n = 0; n < steps; ++n) {
        const float after = a * voltage + c * current;
        if (voltage > best) {
            best = voltage;
            peak = n;
            rise = a * voltage + c * before - voltage;
            fall = voltage - after;
        }
        voltage = after;
        before = b * current;
        current = before + input[(size_t)n * stride];
    }
    values[place] = best;
    peaks[sample * stride + output] = peak;
    shares[sample * stride + output] = rise > 0.0f && fall >= 0.0f ? rise / (rise + fall) : 1.0f;
}

// Adjoints of the outputs under `sum`: one thread a column, padding included.
extern "C" __global__ void adjoint_output(const float *drive_of, const float *__restrict__ weighting,
                                          const float *a_of, const float *b_of, const float *k_of, const float *p_of,
                                          const float *q_of, int stride, int samples, int steps,
                                          float *__restrict__ current, float *__restrict__ difference) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x, sample = place / stride, o = place % stride;
    if (sample >= samples) return;
    const float a = a_of[o], b = b_of[o], k = k_of[o], p = p_of[o], q = q_of[o], drive = drive_of[place];
    size_t at = ((size_t)sample * (steps + 1) + steps) * stride + o;
    float lam_v = 0.0f, lam_i = 0.0f;
    current[at] = difference[at] = 0.0f;
    for (int n = steps - 1; n >= 0; --n) {
        at -= stride;
        lam_i = b * lam_i + k * lam_v;
        lam_v = a * lam_v + weighting[n] * drive;
        current[at] = lam_i;
        difference[at] = p * lam_v - q * lam_i;
    }
}

// Adjoints of the outputs under `max`: one thread a column, padding included (its peak is 0).
extern "C" __global__ void adjoint_max(const float *drive_of, const int *peaks, const float *shares, const float *a_of,
                                       const float *b_of, const float *k_of, const float *p_of, const float *q_of,
                                       int stride, int samples, int steps, float *__restrict__ current,
                                       float *__restrict__ difference) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x, sample = place / stride, o = place % stride;
    if (sample >= samples) return;
    const float a = a_of[o], b = b_of[o], k = k_of[o], p = p_of[o], q = q_of[o];
    const int peak = peaks[place];
    size_t at = ((size_t)sample * (steps + 1) + steps) * stride + o;
    float lam_v = 0.0f, lam_i = 0.0f;
    for (int n = steps; n >= 0; --n, at -= stride) {
        lam_i = b * lam_i + k * lam_v;
        lam_v = n == peak ? drive_of[place] : a * lam_v;
        current[at] = lam_i;
        // at the maximum itself a part of the drive alone counts: see engines/equations.py
        difference[at] = p * (n == peak ? shares[place] * lam_v : lam_v) - q * lam_i;
    }
}

// What flows to each spike from the layer above (or null), and from `timing` (or null): a warp a sample and step.
extern "C" __global__ void flows(const int *__restrict__ spikes, const int *__restrict__ starts,
                                 const Quad *__restrict__ above, const Quad *__restrict__ difference, int quads,
                                 const float *timing, int samples, int steps, float *__restrict__ flow) {
    const int place = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    const int sample = place / steps, step = place % steps;
    if (sample >= samples) return;
    const int *range = starts + (size_t)sample * (steps + 1) + step;
    const Quad *target = difference + ((size_t)sample * (steps + 1) + step + 1) * quads;
    for (int e = range[0]; e < range[1]; ++e) {
        float sum = 0.0f;
        if (above) {
            const Quad *row = above + (size_t)spikes[e] * quads;
            for (int column = lane_of(); column < quads; column += WARP) {
                const Quad weight = row[column], value = target[column];
                for (int i = 0; i < 4; ++i) sum += weight.x[i] * value.x[i];
            }
            sum = warp_sum(sum);
        }
        if (timing) sum += timing[e - starts[0]];
        if (lane_of() == 0) flow[e] = sum;
    }
}

// A spike on the way back, and this lane's part of its neuron's recurrent weights.
struct Spike {
    int neuron;
    float denominator, flow, penalty, restart;
    Quad row[LANE_QUADS];
};

static __device__ __forceinline__ void fetch(Spike &spike, int e, int neuron, const float *__restrict__ denominators,
                                             const float *__restrict__ flow, const float *__restrict__ penalty,
                                             const float *__restrict__ restarts, const Quad *__restrict__ recurrent,
                                             int quads) {
    spike.neuron = neuron;
    spike.restart = restarts ? restarts[e] : 1.0f;
    spike.denominator = denominators[e];
    spike.flow = flow[e];
    spike.penalty = penalty[neuron];
    if (!recurrent) return;
#pragma unroll
    for (int i = 0; i < LANE_QUADS; ++i) {
        const int column = lane_of() + WARP * i;
        spike.row[i] = Quad{};
        if (column < quads) spike.row[i] = recurrent[(size_t)neuron * quads + column];
    }
}

// Adjoints of a spiking layer: a block a sample, a thread four neurons, a warp a spike. What a step reads is known in
// advance: it is asked for while the step before is computed. `recurrent` and `difference` may be null, and so is
// `restarts` without a refractory period.
extern "C" __global__ void __launch_bounds__(ADJOINT_THREADS)
adjoint_hidden(const int *__restrict__ spikes, const float *__restrict__ denominators, const int *__restrict__ starts,
               const float *__restrict__ restarts, const float *__restrict__ flow, const Quad *__restrict__ recurrent,
               const float *__restrict__ penalty, float floor, const Quad *a_of, const Quad *b_of, const Quad *k_of,
               const Quad *p_of, const Quad *q_of, int quads, int steps, int refractory, Quad *__restrict__ current,
               Quad *__restrict__ difference, int *__restrict__ floored) {
    extern __shared__ Quad shared[];
    Quad *gap = shared, *voltage = gap + quads, *jumps = voltage + quads;  // [quads] each
    int *wakes = (int *)(jumps + quads);  // [2, 4 * quads] if refractory: whose restart follows an even or odd step
    const int warps = blockDim.x / WARP, warp = threadIdx.x / WARP;
    const bool mine = threadIdx.x < quads;
    Quad a{}, b{}, k{}, p{}, q{}, lam_v{}, lam_i{}, carried{};  // carried: lamV at the restart that follows
    penalty += (size_t)blockIdx.x * 4 * quads;
    starts += (size_t)blockIdx.x * (steps + 1);
    size_t at = ((size_t)blockIdx.x * (steps + 1) + steps) * quads + threadIdx.x;
    if (mine) {
        a = a_of[threadIdx.x], b = b_of[threadIdx.x], k = k_of[threadIdx.x];
        p = p_of[threadIdx.x], q = q_of[threadIdx.x];
        jumps[threadIdx.x] = current[at] = Quad{};
        if (difference) difference[at] = Quad{};
        for (int i = 0; i < (refractory ? 8 : 0); ++i) wakes[8 * threadIdx.x + i] = 0;
    }
    // spikes of step n - refractory, from `begin` to `end`, and this thread's among them
    int end = refractory ? starts[steps - refractory] : 0, begin = refractory ? starts[steps - 1 - refractory] : 0;
    int waking = begin + (int)threadIdx.x < end ? spikes[begin + threadIdx.x] : -1;
    if (refractory) __syncthreads();
    // of step n: `first` and `last`; of the steps before it: `first1`, `first2`; -1 stands for no spike
    int last = starts[steps], first = starts[steps - 1];
    int first1 = starts[max(steps - 2, 0)], first2 = starts[max(steps - 3, 0)];
    int neuron = first + warp < last ? spikes[first + warp] : -1;
    int neuron1 = first1 + warp < first ? spikes[first1 + warp] : -1;
    int bounded = 0;
    Spike spike{};
    if (neuron >= 0) fetch(spike, first + warp, neuron, denominators, flow, penalty, restarts, recurrent, quads);
    for (int n = steps - 1; n >= 0; --n) {
        if (mine && last > first)
            for (int i = 0; i < 4; ++i) gap[threadIdx.x].x[i] = p.x[i] * lam_v.x[i] - q.x[i] * lam_i.x[i];
        if (refractory) {
            int *wake = wakes + (n % 2) * 4 * quads;
            if (waking >= 0) wake[waking] = 1;
            for (int e = begin + threadIdx.x + blockDim.x; e < end; e += blockDim.x) wake[spikes[e]] = 1;
            end = begin, begin = starts[max(n - 1 - refractory, 0)];
            waking = n > refractory && begin + (int)threadIdx.x < end ? spikes[begin + threadIdx.x] : -1;
            if (n <= refractory) end = begin;
            __syncthreads();
            for (int i = 0; i < (mine ? 4 : 0); ++i) {
                if (!wake[4 * threadIdx.x + i]) continue;
                wake[4 * threadIdx.x + i] = 0;
                carried.x[i] = lam_v.x[i];
                lam_v.x[i] = 0.0f;
            }
        }
        if (last > first) {
            if (mine) voltage[threadIdx.x] = restarts ? carried : lam_v;
            __syncthreads();
            for (int e = first + warp; e < last; e += warps) {
                if (e >= first + warps)
                    fetch(spike, e, spikes[e], denominators, flow, penalty, restarts, recurrent, quads);
                float sum = 0.0f;
                if (recurrent) {
#pragma unroll
                    for (int i = 0; i < LANE_QUADS; ++i) {
                        const int column = lane_of() + WARP * i;
                        if (column >= quads) continue;
                        const Quad value = gap[column];
                        for (int j = 0; j < 4; ++j) sum += spike.row[i].x[j] * value.x[j];
                    }
                    sum = warp_sum(sum);
                }
                if (lane_of() == 0) {
                    const int j = spike.neuron;
                    const float flowing = ((float *)voltage)[j] * spike.restart + (spike.flow + sum);
                    ((float *)jumps)[j] = flowing / fmaxf(spike.denominator, floor) - spike.penalty;
                    bounded += spike.denominator < floor;
                }
            }
            __syncthreads();
            if (mine) {
                add(lam_v, jumps[threadIdx.x]);
                jumps[threadIdx.x] = Quad{};
            }
        }
        last = first, first = first1, first1 = first2, neuron = neuron1;
        first2 = starts[max(n - 3, 0)];
        neuron1 = n >= 2 && first1 + warp < first ? spikes[first1 + warp] : -1;
        if (n >= 1 && neuron >= 0)
            fetch(spike, first + warp, neuron, denominators, flow, penalty, restarts, recurrent, quads);
        if (!mine) continue;
        at -= quads;
        for (int i = 0; i < 4; ++i) {
            lam_i.x[i] = b.x[i] * lam_i.x[i] + k.x[i] * lam_v.x[i];
            lam_v.x[i] = a.x[i] * lam_v.x[i];
        }
        current[at] = lam_i;
        if (!difference) continue;
        Quad gone;
        for (int i = 0; i < 4; ++i) gone.x[i] = p.x[i] * lam_v.x[i] - q.x[i] * lam_i.x[i];
        difference[at] = gone;
    }
    if (bounded) atomicAdd(floored + blockIdx.x, bounded);
}

// engines.equations.Products of each sample, double[B, 3, neurons]: one thread a neuron. `starts` of the neurons' own spikes
// may be null; drive is all that arrives. While a neuron is held lamV is 0: its voltage matters from the restart on.
extern "C" __global__ void products(const float *__restrict__ drive, const int *__restrict__ spikes,
                                    const int *__restrict__ starts, const float *a_of, const float *b_of,
                                    const float *c_of, const float *k_of, const float *__restrict__ adjoint,
                                    int neurons, int stride, int steps, int refractory, double *sums) {
    extern __shared__ Quad shared[];
    int *stamps = (int *)shared;  // [2, blockDim.x], the last even or odd step with a spike, counted from one
    const int sample = blockIdx.x, begin = blockIdx.y * blockDim.x, h = begin + threadIdx.x;
    const bool mine = h < neurons;
    const float a = mine ? a_of[h] : 0.0f, b = mine ? b_of[h] : 0.0f, c = mine ? c_of[h] : 0.0f;
    const float inverse_k = mine ? 1.0f / k_of[h] : 0.0f;
    const float *input = drive + (size_t)sample * steps * stride + h;
    const float *lam = adjoint + (size_t)sample * (steps + 1) * stride + h;
    double drift = 0.0, charge = 0.0, flowing = 0.0;
    float voltage = 0.0f, current = 0.0f, lam_now = mine ? lam[0] : 0.0f;
    stamps[threadIdx.x] = stamps[blockDim.x + threadIdx.x] = 0;
    if (starts) starts += (size_t)sample * (steps + 1);
    __syncthreads();
    for (int n = 0; n < steps; ++n) {
        int *stamp = stamps + (n % 2) * blockDim.x;
        if (starts && n >= refractory) {
            const int *fired = starts + n - refractory;
            for (int e = fired[0] + threadIdx.x; e < fired[1]; e += blockDim.x) {
                const int j = spikes[e] - begin;
                if (j >= 0 && j < blockDim.x) stamp[j] = n + 1;
            }
            __syncthreads();
        }
        if (!mine) continue;
        const float lam_i = lam[(size_t)(n + 1) * stride], lam_v = (lam_now - b * lam_i) * inverse_k;
        drift += lam_v * (voltage - current);
        charge += lam_v * current;
        flowing += lam_i * current;
        voltage = stamp[threadIdx.x] == n + 1 ? 0.0f : a * voltage + c * current;
        current = b * current + input[(size_t)n * stride];
        lam_now = lam_i;
    }
    if (!mine) return;
    double *sum = sums + (size_t)sample * 3 * neurons + h;
    sum[0] = drift, sum[neurons] = charge, sum[2 * neurons] = flowing;
}

// counts[unit, s]: events of each unit in each sample. A block a sample.
extern "C" __global__ void count_units(const int *__restrict__ rows, const int *__restrict__ starts, int samples,
                                       int steps, int *counts) {
    const int *range = starts + (size_t)blockIdx.x * (steps + 1);
    for (int e = range[0] + threadIdx.x; e < range[steps]; e += blockDim.x)
        atomicAdd(counts + (size_t)rows[e] * samples + blockIdx.x, 1);
}

// Turns counts[size] into their sums so far, each without its own entry; counts[size] becomes the sum. One block.
extern "C" __global__ void scan(int *counts, int size) {
    extern __shared__ Quad shared[];
    int *warp_sums = (int *)shared;  // [warps]
    const int warps = blockDim.x / WARP, warp = threadIdx.x / WARP;
    int carried = 0;
    for (int begin = 0; begin < size; begin += blockDim.x) {
        const int place = begin + threadIdx.x, own = place < size ? counts[place] : 0;
        int sum = own;
        for (int distance = 1; distance < WARP; distance *= 2) {
            const int other = __shfl_up_sync(ALL, sum, distance);
            if (lane_of() >= distance) sum += other;
        }
        if (lane_of() == WARP - 1) warp_sums[warp] = sum;
        __syncthreads();
        int all = 0;
        for (int w = 0; w < warps; ++w) {
            if (w < warp) sum += warp_sums[w];
            all += warp_sums[w];
        }
        if (place < size) counts[place] = carried + sum - own;
        carried += all;
        __syncthreads();
    }
    if (threadIdx.x == 0) counts[size] = carried;
}

// places: events by unit, sample and time, each as its row s (N + 1) + step of the adjoints. A warp a sample.
extern "C" __global__ void place_events(const int *__restrict__ rows, const int *__restrict__ steps_of,
                                        const int *__restrict__ starts, const int *__restrict__ unit_starts,
                                        int units, int samples, int steps, int *__restrict__ places) {
    extern __shared__ Quad shared[];
    int *cursor = (int *)shared;  // [units]
    const int sample = blockIdx.x, last = starts[(size_t)sample * (steps + 1) + steps];
    for (int unit = lane_of(); unit < units; unit += WARP) cursor[unit] = unit_starts[(size_t)unit * samples + sample];
    __syncwarp();
    int e = starts[(size_t)sample * (steps + 1)] + lane_of();
    int next = e < last ? rows[e] : -1, next_step = e < last ? steps_of[e] : 0;
    for (; __any_sync(ALL, e < last); e += WARP) {
        const int unit = next, step = next_step;
        next = e + WARP < last ? rows[e + WARP] : -1;
        next_step = e + WARP < last ? steps_of[e + WARP] : 0;
        const unsigned same = __match_any_sync(ALL, unit);
        const int before = __popc(same & lanes_below());
        if (unit >= 0) places[cursor[unit] + before] = sample * (steps + 1) + step;
        __syncwarp();
        if (unit >= 0 && before == 0) cursor[unit] += __popc(same);
        __syncwarp();
    }
}

// Adds scale * lamI, summed over the events of each unit, to its row of the gradient: one thread a quad.
extern "C" __global__ void gather(const int *__restrict__ places, const int *__restrict__ unit_starts,
                                  const int *__restrict__ delays, const Quad *__restrict__ scale,
                                  const Quad *__restrict__ current, int units, int samples, int quads, int steps,
                                  Quad *__restrict__ gradient) {
    const int unit = blockIdx.x * blockDim.y + threadIdx.y, delay = delays[blockIdx.y] + 1;
    if (unit >= units) return;
    const int first = unit_starts[(size_t)unit * samples], last = unit_starts[(size_t)(unit + 1) * samples];
    const Quad *column = current + (size_t)delay * quads + threadIdx.x;
    Quad total{};
    for (int e = first; e < last; e += BATCH) {
        Quad found[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            found[i] = Quad{};
            if (e + i >= last) continue;
            const int place = places[e + i];
            // events that would arrive after the end act on nothing
            if (delay == 1 || place % (steps + 1) + delay <= steps) found[i] = column[(size_t)place * quads];
        }
#pragma unroll
        for (int i = 0; i < BATCH; i += 2) {
            add(found[i], found[i + 1]);
            add(total, found[i]);
        }
    }
    const size_t at = ((size_t)blockIdx.y * units + unit) * quads + threadIdx.x;
    Quad row = gradient[at];
    const Quad by = scale[threadIdx.x];
    for (int i = 0; i < 4; ++i) row.x[i] += by.x[i] * total.x[i];
    gradient[at] = row;
}

// For `benchmark_gpu_limit`: each block sums `share` rows of a table in the order of `chosen`.
extern "C" __global__ void probe_rows(const int *__restrict__ chosen, int share, const Quad *__restrict__ table,
                                      int quads, Quad *sums) {
    Quad total{};
    add_rows(total, table + threadIdx.x, quads, chosen, blockIdx.x * share, (blockIdx.x + 1) * share);
    sums[(size_t)blockIdx.x * quads + threadIdx.x] = total;
}

// For `benchmark_gpu_limit`: reads and writes `share` quads a block.
extern "C" __global__ void probe_memory(const Quad *__restrict__ source, Quad *__restrict__ target, int share) {
    for (int i = threadIdx.x; i < share; i += blockDim.x) {
        const size_t at = (size_t)blockIdx.x * share + i;
        target[at] = source[at];
    }
}

// For `benchmark_gpu_limit`: each thread multiplies and adds 8 * `rounds` times.
extern "C" __global__ void probe_arithmetic(float factor, int rounds, float *results) {
    float chains[8];
    for (int i = 0; i < 8; ++i) chains[i] = threadIdx.x + i;
    for (int round = 0; round < rounds; ++round)
        for (int i = 0; i < 8; ++i) chains[i] = chains[i] * factor + 1.0f;
    float sum = 0.0f;
    for (int i = 0; i < 8; ++i) sum += chains[i];
    results[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
