// Tables indexed by label, made with atomics on whole numbers only: the same whatever order threads run in.

// The first pixel of each label (row by row); entries start at the number of pixels.
extern "C" __global__ void first_pixels(const int* labels, int size, int* first)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size && labels[i] > 0) atomicMin(&first[labels[i]], i);
}

// Sums of 1, y, x, yy, xx, xy about each label's first pixel, and boxes (y0, x0, y1, x1).
// Differences may be negative: two's complement makes unsigned sums come out right.
extern "C" __global__ void moments(
    const int* labels, int width, int size, const int* first, unsigned long long* sums, int* boxes)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size || labels[i] <= 0) return;
    int label = labels[i];
    int y = i / width, x = i % width;
    long long down = y - first[label] / width;
    long long right = x - first[label] % width;
    unsigned long long* sum = &sums[6LL * (label - 1)];
    atomicAdd(&sum[0], 1ULL);
    atomicAdd(&sum[1], (unsigned long long)down);
    atomicAdd(&sum[2], (unsigned long long)right);
    atomicAdd(&sum[3], (unsigned long long)(down * down));
    atomicAdd(&sum[4], (unsigned long long)(right * right));
    atomicAdd(&sum[5], (unsigned long long)(down * right));
    int* box = &boxes[4LL * (label - 1)];
    atomicMin(&box[0], y);
    atomicMin(&box[1], x);
    atomicMax(&box[2], y + 1);
    atomicMax(&box[3], x + 1);
}

__device__ bool is_border(const int* labels, int width, int height, int y, int x, int label)
{
    if (y < 0 || x < 0 || y >= height || x >= width) return false;
    const int* here = &labels[(long long)y * width + x];
    if (*here != label) return false;
    if (y == 0 || x == 0 || y == height - 1 || x == width - 1) return true;
    return here[-width] != label || here[width] != label || here[-1] != label || here[1] != label;
}

// How many border pixels of each label count 1, sqrt(2) and (1 + sqrt(2)) / 2 in its perimeter.
extern "C" __global__ void perimeters(const int* labels, int width, int size, int* counts)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size || labels[i] <= 0) return;
    int label = labels[i], height = size / width;
    int y = i / width, x = i % width;
    if (!is_border(labels, width, height, y, x, label)) return;
    int code = 1;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            if ((dy || dx) && is_border(labels, width, height, y + dy, x + dx, label))
                code += (dy && dx) ? 10 : 2;
    int kind = -1;
    if (code == 5 || code == 7 || code == 15 || code == 17 || code == 25 || code == 27) kind = 0;
    if (code == 21 || code == 33) kind = 1;
    if (code == 13 || code == 23) kind = 2;
    if (kind >= 0) atomicAdd(&counts[3LL * (label - 1) + kind], 1);
}

// First and last column of each label in each row of its box.
extern "C" __global__ void row_ends(
    const int* labels, int width, int size, const int* boxes, const long long* start, int* ends)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size || labels[i] <= 0) return;
    int k = labels[i] - 1;
    long long row = start[k] + i / width - boxes[4LL * k];
    atomicMin(&ends[2 * row], i % width);
    atomicMax(&ends[2 * row + 1], i % width);
}

const long long NOTHING = 1LL << 40;

// Column (doubled) of the middle of a pixel's side that lies at half row `half`, towards smaller columns.
// Even halves: the middle of an edge above or below a pixel; odd ones: the middle of its outer side.
__device__ long long side_point(const int* ends, int height, int half, int sign)
{
    if (half % 2) {
        int row = half / 2;
        if (ends[2 * row + 1] < 0) return NOTHING;
        return sign > 0 ? 2LL * ends[2 * row] - 1 : -(2LL * ends[2 * row + 1] + 1);
    }
    long long best = NOTHING;
    for (int row = half / 2 - 1; row <= half / 2; row++) {
        if (row < 0 || row >= height || ends[2 * row + 1] < 0) continue;
        long long value = sign > 0 ? 2LL * ends[2 * row] : -2LL * ends[2 * row + 1];
        if (value < best) best = value;
    }
    return best;
}

// Number of columns (mirrored for sign -1) that lie before the hull, summed over the rows of a box.
__device__ long long before_hull(
    const int* ends, int height, int sign, long long* rows, long long* columns)
{
    int m = 0;
    for (int half = 0; half <= 2 * height; half++) {
        long long x = side_point(ends, height, half, sign), y = half - 1;
        if (x == NOTHING) continue;
        while (m >= 2) {
            long long turn = (rows[m - 1] - rows[m - 2]) * (x - columns[m - 2])
                - (columns[m - 1] - columns[m - 2]) * (y - rows[m - 2]);
            if (turn > 0) break;
            m--;
        }
        rows[m] = y;
        columns[m++] = x;
    }
    long long total = 0;
    int k = 0;
    for (int row = 0; row < height; row++) {
        long long y = 2LL * row;
        while (k < m - 2 && rows[k + 1] < y) k++;
        long long down = rows[k + 1] - rows[k];
        long long top = columns[k] * down + (columns[k + 1] - columns[k]) * (y - rows[k]);
        // the ceiling of top / (2 down)
        long long quotient = -top / (2 * down);
        if (-top % (2 * down) != 0 && -top < 0) quotient--;
        total -= quotient;
    }
    return total;
}

// Pixels in each label's convex hull; one thread makes one hull in its own part of the two chains.
extern "C" __global__ void convex(
    const int* ends, const long long* start, int n, long long* rows, long long* columns, long long* areas)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n) return;
    int height = (int)(start[k + 1] - start[k]);
    if (height == 0) return;
    const int* own = &ends[2 * start[k]];
    long long place = 2 * start[k] + k;
    long long left = before_hull(own, height, 1, &rows[place], &columns[place]);
    long long right = before_hull(own, height, -1, &rows[place], &columns[place]);
    areas[k] = height - left - right;
}
