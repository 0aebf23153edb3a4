// Seeded watershed, equal pixel for pixel to flooding with a queue per level (first in, first out).
//
// Parts of the mask that no 4-connected way joins can't meet: a block floods one part. Pixels that
// flooded together are a front, kept in the order in which one queue would have taken them. All its
// neighbours are claimed at once and the earliest claim wins; the winners in the order of their claims
// are what the queue would hold next. Those above the present level wait, in the order they came.

const int MOST_THREADS = 1024;

// Sum of the values of all threads before this one; `total`: of all.
__device__ int sum_before(int value, int* cells, int* total)
{
    int t = threadIdx.x, n = blockDim.x;
    cells[t] = value;
    __syncthreads();
    for (int step = 1; step < n; step *= 2) {
        int other = t >= step ? cells[t - step] : 0;
        __syncthreads();
        cells[t] += other;
        __syncthreads();
    }
    int before = cells[t] - value;
    *total = cells[n - 1];
    __syncthreads();
    return before;
}

// The smallest of the values of all threads.
__device__ int smallest(int value, int* cells)
{
    int t = threadIdx.x, n = blockDim.x;
    cells[t] = value;
    __syncthreads();
    for (int step = 1; step < n; step *= 2) {
        int other = t + step < n ? cells[t + step] : value;
        __syncthreads();
        cells[t] = min(cells[t], other);
        __syncthreads();
    }
    int found = cells[0];
    __syncthreads();
    return found;
}

// Flat position of a 4-neighbour (up, left, right, down); -1 beyond the edge.
__device__ int neighbour(int pixel, int direction, int width, int size)
{
    if (direction == 0) return pixel >= width ? pixel - width : -1;
    if (direction == 1) return pixel % width ? pixel - 1 : -1;
    if (direction == 2) return pixel % width != width - 1 ? pixel + 1 : -1;
    return pixel < size - width ? pixel + width : -1;
}

// Per part (numbers from 1): `start` of its piece of the four lists, and how many seeds `waiting` holds.
// `claim` starts at the largest int; `result` holds the seeds.
extern "C" __global__ void flood(
    const int* level, const int* part, int width, int size, const int* start, const int* n_seeds,
    int* waiting, int* spare, int* front, int* next, int* claim, int* result)
{
    __shared__ int cells[MOST_THREADS];
    int t = threadIdx.x, n = blockDim.x, own = blockIdx.x + 1;
    int n_waiting = n_seeds[blockIdx.x];
    waiting += start[blockIdx.x];
    spare += start[blockIdx.x];
    front += start[blockIdx.x];
    next += start[blockIdx.x];
    while (n_waiting > 0) {
        int lowest = 0x7fffffff;
        for (int i = t; i < n_waiting; i += n) lowest = min(lowest, level[waiting[i]]);
        int height = smallest(lowest, cells);
        // the lowest that wait become the front, the others stay in order
        int n_front = 0, n_spare = 0, total;
        for (int chunk = 0; chunk < n_waiting; chunk += n) {
            int pixel = chunk + t < n_waiting ? waiting[chunk + t] : -1;
            bool is_low = pixel >= 0 && level[pixel] == height;
            int before = sum_before(is_low ? 1 : (pixel >= 0 ? 1 << 16 : 0), cells, &total);
            if (is_low) front[n_front + (before & 0xffff)] = pixel;
            else if (pixel >= 0) spare[n_spare + (before >> 16)] = pixel;
            n_front += total & 0xffff;
            n_spare += total >> 16;
        }
        int* taken = waiting;
        waiting = spare;
        spare = taken;
        n_waiting = n_spare;
        __syncthreads();
        while (n_front > 0) {
            for (int i = t; i < n_front; i += n)
                for (int direction = 0; direction < 4; direction++) {
                    int j = neighbour(front[i], direction, width, size);
                    if (j >= 0 && part[j] == own && result[j] == 0) atomicMin(&claim[j], 4 * i + direction);
                }
            __syncthreads();
            int n_next = 0;
            for (int chunk = 0; chunk < n_front; chunk += n) {
                int i = chunk + t, won[4], count = 0;
                for (int direction = 0; direction < 4; direction++) {
                    won[direction] = -1;
                    if (i >= n_front) continue;
                    int j = neighbour(front[i], direction, width, size);
                    // the claim of an earlier front may still stand at a pixel that has its label
                    if (j < 0 || part[j] != own || claim[j] != 4 * i + direction || result[j]) continue;
                    won[direction] = j;
                    count += level[j] <= height ? 1 : 1 << 16;
                }
                int before = sum_before(count, cells, &total);
                int to_next = n_next + (before & 0xffff), to_waiting = n_waiting + (before >> 16);
                for (int direction = 0; direction < 4; direction++) {
                    int j = won[direction];
                    if (j < 0) continue;
                    result[j] = result[front[i]];
                    if (level[j] <= height) next[to_next++] = j;
                    else waiting[to_waiting++] = j;
                }
                n_next += total & 0xffff;
                n_waiting += total >> 16;
            }
            taken = front;
            front = next;
            next = taken;
            n_front = n_next;
            __syncthreads();
        }
    }
}
