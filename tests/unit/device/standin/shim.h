// What CUDA C needs to be C++: one thread after the other, in an order that the caller gives.
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <functional>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__ static
#define __shared__ static
#define __syncthreads() emulated_barrier(__LINE__)

struct Place { int x, y, z; };
static Place threadIdx, blockIdx, blockDim, gridDim;
using std::max;
using std::min;

template <typename T> static T atomicAdd(T* at, T value) { T old = *at; *at = old + value; return old; }
template <typename T> static T atomicMin(T* at, T value) { T old = *at; *at = min(old, value); return old; }
template <typename T> static T atomicMax(T* at, T value) { T old = *at; *at = max(old, value); return old; }

// Threads of a block with barriers: each has its own stack and runs to the next barrier in its turn.
struct Fiber { ucontext_t start; jmp_buf state; bool started, ended; int line; std::vector<char> stack; };
static std::vector<Fiber> fibers;
static int running;
static jmp_buf scheduler;
static std::function<void()> body;

static void emulated_barrier(int line)
{
    fibers[running].line = line;
    if (_setjmp(fibers[running].state) == 0) _longjmp(scheduler, 1);
}

static void begin()
{
    body();
    fibers[running].ended = true;
    _longjmp(scheduler, 1);
}

static void resume(int thread)
{
    running = thread;
    threadIdx.x = thread;
    Fiber& fiber = fibers[thread];
    if (_setjmp(scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.state, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}

// Returns the line of a barrier that not all threads of a block came to; 0 where there is none.
static int run_block(const int* order)
{
    for (Fiber& fiber : fibers) {
        fiber.started = fiber.ended = false;
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack.data();
        fiber.start.uc_stack.ss_size = fiber.stack.size();
        fiber.start.uc_link = nullptr;
        makecontext(&fiber.start, begin, 0);
    }
    for (;;) {
        for (size_t i = 0; i < fibers.size(); i++) resume(order[i]);
        size_t ended = 0;
        int line = 0;
        bool apart = false;
        for (Fiber& fiber : fibers) {
            ended += fiber.ended;
            line = max(line, fiber.ended ? 0 : fiber.line);
            apart |= !fiber.ended && fiber.line != fibers[0].line;
        }
        if (apart || (ended && ended < fibers.size())) return line;
        if (ended) return 0;
    }
}

static int run_all(int grid, int block, const int* order, bool backwards, bool barriers)
{
    gridDim.x = grid;
    blockDim.x = block;
    fibers = std::vector<Fiber>(barriers ? block : 0);
    for (Fiber& fiber : fibers) fiber.stack.resize(1 << 16);
    for (int number = 0; number < grid; number++) {
        blockIdx.x = backwards ? grid - 1 - number : number;
        if (barriers) {
            int line = run_block(order);
            if (line) return line;
            continue;
        }
        for (int i = 0; i < block; i++) {
            threadIdx.x = order[i];
            body();
        }
    }
    return 0;
}
