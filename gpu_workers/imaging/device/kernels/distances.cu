// Exact distances on the grid, in whole numbers: along columns first, then across them.

// Distance along its column from each labelled pixel to the nearest pixel of another label.
extern "C" __global__ void inner_columns(
    const int* labels, int height, int width, int outside, int* distance)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= width) return;
    int beyond = outside ? 0 : 1 << 14;
    int before = beyond, other = 0;
    for (int y = 0; y < height; y++) {
        long long i = (long long)y * width + x;
        int label = labels[i];
        int above = y == 0 ? beyond : (label == other ? before : 0);
        before = label ? above + 1 : 0;
        other = label;
        distance[i] = before;
    }
    for (int y = height - 1; y >= 0; y--) {
        long long i = (long long)y * width + x;
        int label = labels[i];
        int below = y == height - 1 ? beyond : (label == other ? before : 0);
        before = label ? min(distance[i], below + 1) : 0;
        other = label;
        distance[i] = before;
    }
}

__device__ long long to_one_side(
    const int* labels, const int* columns, long long row, int x, int width, int step, int outside,
    long long best)
{
    int label = labels[row + x];
    for (long long d = 1; d * d < best; d++) {
        long long q = x + step * d;
        if (q < 0 || q >= width) return outside ? d * d : best;
        if (labels[row + q] != label) return d * d;
        long long down = columns[row + q];
        best = min(best, d * d + down * down);
    }
    return best;
}

// Distance of each labelled pixel to the nearest pixel that isn't its label's; nearest columns first, as
// long as they can be nearer than what was found.
extern "C" __global__ void inner_rows(
    const int* labels, const int* columns, int width, int size, int outside, float* result)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    if (labels[i] == 0) {
        result[i] = 0.0f;
        return;
    }
    int x = i % width;
    long long best = (long long)columns[i] * columns[i];
    best = to_one_side(labels, columns, i - x, x, width, -1, outside, best);
    best = to_one_side(labels, columns, i - x, x, width, 1, outside, best);
    result[i] = (float)sqrt((double)best);
}

// Distance along its column from each pixel to the nearest labelled pixel (at most `limit`), and its label.
extern "C" __global__ void outer_columns(
    const int* labels, int height, int width, int limit, int* distance, int* source)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= width) return;
    int far = limit + 1, before = far, owner = 0;
    for (int y = 0; y < height; y++) {
        long long i = (long long)y * width + x;
        if (labels[i]) {
            before = 0;
            owner = labels[i];
        } else if (before < limit) {
            before++;
        } else {
            before = far;
            owner = 0;
        }
        distance[i] = before;
        source[i] = owner;
    }
    for (int y = height - 2; y >= 0; y--) {
        long long i = (long long)y * width + x;
        int below = distance[i + width] + 1, label = source[i + width];
        bool equal = below == distance[i] && below <= limit && label < source[i];
        if (below < distance[i] || equal) {
            distance[i] = below;
            source[i] = label;
        }
    }
}

// Each background pixel takes the label of the nearest object; of equally near ones the lower label.
extern "C" __global__ void outer_rows(
    const int* labels, const int* distance, const int* source, int width, int size, int limit,
    double limit_squared, int* result)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    result[i] = labels[i];
    if (labels[i]) return;
    int x = i % width;
    long long best = 1LL << 60;
    int owner = 0;
    for (long long d = 0; d <= limit && d * d <= best; d++) {
        for (int side = 0; side < (d ? 2 : 1); side++) {
            long long q = side ? x + d : x - d;
            if (q < 0 || q >= width) continue;
            int j = i - x + (int)q;
            if (distance[j] > limit) continue;
            long long squared = d * d + (long long)distance[j] * distance[j];
            if (squared < best || (squared == best && source[j] < owner)) {
                best = squared;
                owner = source[j];
            }
        }
    }
    if ((double)best <= limit_squared) result[i] = owner;
}
