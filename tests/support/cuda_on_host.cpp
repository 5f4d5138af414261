// Runs kernels.cu on the processor: the threads of a block take turns, each up to its next barrier, each warp as far as
// it gets, in an order that the caller chooses, so that a missing barrier changes the result. See cuda_on_host.py.

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using std::max;

#define __global__
#define __device__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(threads)

struct Index {
    unsigned x, y;
};
static Index threadIdx, blockIdx, blockDim;

// Threads that have to arrive before any goes on: those of a block or a warp that have not ended.
struct Barrier {
    int alive = 0, arrived = 0;
    long passed = 0;
    void release() {
        if (arrived > 0 && arrived == alive) arrived = 0, ++passed;
    }
};

// A thread of a block. It is entered through `start`; later turns are jumps, which unlike swapcontext call no kernel.
struct Fiber {
    ucontext_t start;
    jmp_buf resume;
    bool started = false, ended = false;
    const Barrier *at = nullptr;
    long passed = 0;
    bool waits() const { return at && at->passed == passed; }
};

static ucontext_t scheduler;
static jmp_buf next_turn;
static std::vector<Fiber> fibers;
static Barrier block;
static std::vector<Barrier> warps;
static std::vector<uint64_t> exchanged;
static bool moved;

static unsigned number() { return threadIdx.y * blockDim.x + threadIdx.x; }

static void arrive(Barrier &barrier) {
    Fiber &own = fibers[number()];
    own.at = &barrier;
    own.passed = barrier.passed;
    ++barrier.arrived;
    barrier.release();
    moved = true;
    if (own.waits() && !_setjmp(own.resume)) _longjmp(next_turn, 1);
}

static void __syncthreads() { arrive(block); }
static void __syncwarp() { arrive(warps[number() / 32]); }

// Shows every lane the values of its warp.
template <class T, class Read>
static auto exchange(T value, Read read) {
    const unsigned own = number(), first = own / 32 * 32;
    std::memcpy(&exchanged[own], &value, sizeof value);
    __syncwarp();
    auto result = read(own - first, [&](unsigned lane) {
        T other;
        std::memcpy(&other, &exchanged[first + lane], sizeof other);
        return other;
    });
    __syncwarp();
    return result;
}

template <class T>
static T __shfl_xor_sync(unsigned, T value, unsigned distance) {
    return exchange(value, [=](unsigned lane, auto of) { return of(lane ^ distance); });
}

template <class T>
static T __shfl_up_sync(unsigned, T value, unsigned distance) {
    return exchange(value, [=](unsigned lane, auto of) { return of(lane >= distance ? lane - distance : lane); });
}

template <class T>
static unsigned __match_any_sync(unsigned, T value) {
    return exchange(value, [=](unsigned, auto of) {
        unsigned same = 0;
        for (unsigned lane = 0; lane < 32; ++lane) same |= unsigned(of(lane) == value) << lane;
        return same;
    });
}

static unsigned __ballot_sync(unsigned, int value) {
    return exchange(value, [=](unsigned, auto of) {
        unsigned set = 0;
        for (unsigned lane = 0; lane < 32; ++lane) set |= unsigned(of(lane) != 0) << lane;
        return set;
    });
}

static int __any_sync(unsigned mask, int value) { return __ballot_sync(mask, value) != 0; }

static int __popc(unsigned bits) { return __builtin_popcount(bits); }
static int atomicAdd(int *place, int value) { return std::exchange(*place, *place + value); }

#include KERNELS

static const size_t STACK = 1 << 15, SHARED = 48 << 10, GUARD = 1 << 10;
static const unsigned char CANARY = 0xa5;
alignas(64) Quad shared[(SHARED + GUARD) / sizeof(Quad)];
static std::vector<char> stacks;
static std::function<void()> body;

static void enter() {
    body();
    for (Barrier *barrier : {&block, &warps[number() / 32]}) --barrier->alive, barrier->release();
    fibers[number()].ended = moved = true;
    _longjmp(next_turn, 1);
}

static void prepare_block(unsigned threads) {
    stacks.resize(std::max(stacks.size(), threads * STACK));
    fibers.assign(threads, Fiber{});
    block = Barrier{int(threads)};
    warps.assign((threads + 31) / 32, Barrier{});
    exchanged.assign(warps.size() * 32, 0);
    static ucontext_t fresh;
    getcontext(&fresh);
    for (unsigned i = 0; i < threads; ++i) {
        ++warps[i / 32].alive;
        fibers[i].start = fresh;
        fibers[i].start.uc_stack.ss_sp = &stacks[i * STACK];
        fibers[i].start.uc_stack.ss_size = STACK;
        makecontext(&fibers[i].start, enter, 0);
    }
}

static void take_turn(Fiber &fiber) {
    if (_setjmp(next_turn)) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    swapcontext(&scheduler, &fiber.start);
}

static std::vector<unsigned> numbers(unsigned count, int order, std::mt19937 &random) {
    std::vector<unsigned> found(count);
    for (unsigned i = 0; i < count; ++i) found[i] = order == 1 ? count - 1 - i : i;
    if (order == 2) std::shuffle(found.begin(), found.end(), random);
    return found;
}

// Gives the threads of a warp turns until all have ended or wait for others; returns whether any had one.
static bool run_warp(unsigned warp, int order, std::mt19937 &random) {
    const unsigned first = warp * 32, count = std::min<unsigned>(32, fibers.size() - first);
    bool any = false;
    do {
        moved = false;
        for (unsigned lane : numbers(count, order, random)) {
            const unsigned i = first + lane;
            if (fibers[i].ended || fibers[i].waits()) continue;
            threadIdx = {i % blockDim.x, i / blockDim.x};
            take_turn(fibers[i]);
        }
        any |= moved;
    } while (moved);
    return any;
}

// Returns whether all threads came to their end. A warp runs ahead of all others as far as barriers let it.
static bool run_block(int order, std::mt19937 &random) {
    prepare_block(blockDim.x * blockDim.y);
    bool any;
    do {
        any = false;
        for (unsigned warp : numbers(warps.size(), order, random)) any |= run_warp(warp, order, random);
    } while (any);
    return std::all_of(fibers.begin(), fibers.end(), [](const Fiber &fiber) { return fiber.ended; });
}

template <class... A, size_t... I>
static std::function<void()> prepare(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    return [=] { kernel(*static_cast<A *>(arguments[I])...); };
}

template <class... A>
static std::function<void()> prepare(void (*kernel)(A...), int count, void **arguments) {
    if (count != sizeof...(A)) return nullptr;
    return prepare(kernel, arguments, std::index_sequence_for<A...>());
}

static std::function<void()> find(const std::string &name, int count, void **arguments) {
#define KERNEL(kernel) \
    if (name == #kernel) return prepare(kernel, count, arguments)
    KERNEL(find_starts);
    KERNEL(project);
    KERNEL(forward_hidden);
    KERNEL(forward_output);
    KERNEL(forward_max);
    KERNEL(adjoint_output);
    KERNEL(adjoint_max);
    KERNEL(flows);
    KERNEL(adjoint_hidden);
    KERNEL(products);
    KERNEL(count_units);
    KERNEL(scan);
    KERNEL(place_events);
    KERNEL(gather);
    KERNEL(probe_rows);
    KERNEL(probe_memory);
    KERNEL(probe_arithmetic);
    return nullptr;
}

// Returns why the launch failed, or null. Shared memory holds garbage at first; what lies after it must stay.
extern "C" const char *launch(const char *name, unsigned grid_x, unsigned grid_y, unsigned block_x, unsigned block_y,
                              unsigned shared_bytes, int order, int count, void **arguments) {
    body = find(name, count, arguments);
    if (!body) return "no such kernel, or another number of arguments";
    if (block_x * block_y > 1024 || shared_bytes > SHARED) return "more than every device has";
    blockDim = {block_x, block_y};
    std::mt19937 random(1);
    unsigned char *bytes = reinterpret_cast<unsigned char *>(shared);
    for (blockIdx.y = 0; blockIdx.y < grid_y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < grid_x; ++blockIdx.x) {
            std::memset(shared, 0xff, shared_bytes);
            std::memset(bytes + shared_bytes, CANARY, GUARD);
            if (!run_block(order, random)) return "threads wait for each other";
            if (std::any_of(bytes + shared_bytes, bytes + shared_bytes + GUARD, [](unsigned char b) { return b != CANARY; }))
                return "written beyond the shared memory";
        }
    return nullptr;
}
