// Filters over the surroundings of each pixel that are no sums or ranks of all of them.

// Mean of the pixels within a disc, weighted by distance and by difference of intensity; beyond the edge
// the edge's pixels are repeated.
extern "C" __global__ void bilateral(
    const float* image, int height, int width, int radius, double space, double intensity, float* result)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= height * width) return;
    int y = i / width, x = i % width;
    double middle = image[i], sum = 0.0, weights = 0.0;
    for (int dy = -radius; dy <= radius; dy++)
        for (int dx = -radius; dx <= radius; dx++) {
            int squared = dy * dy + dx * dx;
            if (squared > radius * radius) continue;
            int row = min(max(y + dy, 0), height - 1), column = min(max(x + dx, 0), width - 1);
            double value = image[row * width + column], apart = value - middle;
            double weight = exp(squared * space + apart * apart * intensity);
            sum += weight * value;
            weights += weight;
        }
    result[i] = (float)(sum / weights);
}

// Lowest value within a disc whose row at distance d reaches `reach[d + radius]` pixels to the sides;
// what lies beyond the edge is left out.
extern "C" __global__ void disc_minimum(
    const float* image, int height, int width, int radius, const int* reach, float* result)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= height * width) return;
    int y = i / width, x = i % width;
    float lowest = image[i];
    for (int d = max(-radius, -y); d <= min(radius, height - 1 - y); d++) {
        int half = reach[d + radius];
        const float* row = &image[(y + d) * width];
        for (int q = max(0, x - half); q <= min(width - 1, x + half); q++) lowest = min(lowest, row[q]);
    }
    result[i] = lowest;
}

// Height of the top of a ball that rolls below the image; `depths` are those of its surface, infinite
// beside it.
extern "C" __global__ void touch(
    const float* image, int height, int width, int reach, const float* depths, float* result)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= height * width) return;
    int y = i / width, x = i % width, side = 2 * reach + 1;
    float lowest = image[i];
    for (int d = max(-reach, -y); d <= min(reach, height - 1 - y); d++)
        for (int e = max(-reach, -x); e <= min(reach, width - 1 - x); e++) {
            float above = image[(y + d) * width + x + e] + depths[(d + reach) * side + e + reach];
            lowest = min(lowest, above);
        }
    result[i] = lowest;
}
