// Connected pixels of equal value, with trees whose roots are the parts' first pixels.

__device__ int root(volatile int* up, int i)
{
    while (up[i] != i) i = up[i];
    return i;
}

__device__ void join(int* up, int a, int b)
{
    a = root(up, a);
    b = root(up, b);
    while (a != b) {
        if (a < b) {
            int other = a;
            a = b;
            b = other;
        }
        int before = atomicMin(&up[a], b);
        if (before == a) return;
        a = root(up, before);
        b = root(up, b);
    }
}

// `up` starts as each pixel's own position.
extern "C" __global__ void join_parts(const int* labels, int width, int size, int corners, int* up)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size || labels[i] == 0) return;
    int x = i % width;
    bool above = i >= width;
    if (x > 0 && labels[i - 1] == labels[i]) join(up, i, i - 1);
    if (above && labels[i - width] == labels[i]) join(up, i, i - width);
    if (!corners || !above) return;
    if (x > 0 && labels[i - width - 1] == labels[i]) join(up, i, i - width - 1);
    if (x < width - 1 && labels[i - width + 1] == labels[i]) join(up, i, i - width + 1);
}

extern "C" __global__ void find_roots(const int* up, int size, int* roots)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    int at = i;
    while (up[at] != at) at = up[at];
    roots[i] = at;
}

// Lowest and highest label beside each gap; a gap at the edge of the image has 0 beside it.
extern "C" __global__ void beside_gaps(
    const int* labels, const int* gaps, int width, int size, int* lowest, int* highest)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size || gaps[i] == 0) return;
    int gap = gaps[i], x = i % width;
    if (x == 0 || x == width - 1 || i < width || i >= size - width) {
        atomicMin(&lowest[gap], 0);
        return;
    }
    int beside[4] = {labels[i - width], labels[i - 1], labels[i + 1], labels[i + width]};
    for (int k = 0; k < 4; k++) {
        if (beside[k] <= 0) continue;
        atomicMin(&lowest[gap], beside[k]);
        atomicMax(&highest[gap], beside[k]);
    }
}
