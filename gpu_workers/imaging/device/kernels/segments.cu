// Statistics of runs of values, a block for each run; the halves of a run are always added in the same
// order, so that the sums do not depend on the order of threads.

// Values sorted by label -> count, sum and sum of squares about the first value, minimum, maximum, first.
extern "C" __global__ void statistics(const double* values, const long long* start, double* table)
{
    __shared__ double cells[4][1024];
    int t = threadIdx.x;
    long long from = start[blockIdx.x], to = start[blockIdx.x + 1];
    double first = from < to ? values[from] : 0.0;
    double sum = 0.0, squares = 0.0, low = first, high = first;
    for (long long i = from + t; i < to; i += blockDim.x) {
        double value = values[i], shifted = value - first;
        sum += shifted;
        squares += shifted * shifted;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    cells[0][t] = sum;
    cells[1][t] = squares;
    cells[2][t] = low;
    cells[3][t] = high;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            cells[0][t] += cells[0][t + half];
            cells[1][t] += cells[1][t + half];
            cells[2][t] = min(cells[2][t], cells[2][t + half]);
            cells[3][t] = max(cells[3][t], cells[3][t + half]);
        }
    }
    if (t == 0) {
        double* row = &table[6LL * blockIdx.x];
        row[0] = (double)(to - from);
        row[1] = cells[0][0];
        row[2] = cells[1][0];
        row[3] = cells[2][0];
        row[4] = cells[3][0];
        row[5] = first;
    }
}

// Sums of several columns, each (n_columns, size) contiguous: table (runs, n_columns).
extern "C" __global__ void sums(
    const double* columns, long long size, const long long* start, int n_columns, double* table)
{
    __shared__ double cells[1024];
    int t = threadIdx.x;
    long long from = start[blockIdx.x], to = start[blockIdx.x + 1];
    for (int column = 0; column < n_columns; column++) {
        double sum = 0.0;
        for (long long i = from + t; i < to; i += blockDim.x) sum += columns[column * size + i];
        cells[t] = sum;
        for (int half = blockDim.x / 2; half > 0; half /= 2) {
            __syncthreads();
            if (t < half) cells[t] += cells[t + half];
        }
        if (t == 0) table[(long long)blockIdx.x * n_columns + column] = cells[0];
        __syncthreads();
    }
}
