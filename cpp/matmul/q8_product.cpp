#include "matmul/q8_product.h"

#include "matmul/q8_kernel.h"

#include <algorithm>

#include <ggml.h>

namespace llama_steer {

int64_t q8_columns_bytes(int64_t length, int64_t columns) { return q8_columns::bytes(length / q8_block, columns); }

int64_t q8_product_scratch_bytes(int64_t length) { return q8_panel::bytes(length / q8_block); }

void quantize_q8_columns(ggml_tensor * result, int thread, int threads, void *) {
    const ggml_tensor * from = result->src[0];
    const q8_columns to = q8_columns::in(result->data, from->ne[0] / q8_block, from->ne[1]);
    for (int64_t column = thread; column < to.columns; column += threads) {
        const char * data = static_cast<const char *>(from->data) + column * from->nb[1];
        supported_q8_kernel()->quantize(reinterpret_cast<const float *>(data), to, column);
    }
}

void compute_q8_product(ggml_tensor * result, int thread, int threads, void * userdata) {
    const q8_kernel & kernel = *supported_q8_kernel();
    const ggml_tensor * matrix = result->src[0];
    const int64_t blocks = matrix->ne[0] / q8_block;
    const int64_t rows = matrix->ne[1];
    const q8_columns columns = q8_columns::in(result->src[1]->data, blocks, result->ne[1]);
    const q8_panel panel = q8_panel::in(static_cast<thread_scratch *>(userdata)->of(thread), blocks);
    auto * to = static_cast<float *>(result->data);

    const int64_t panels = (rows + panel_rows - 1) / panel_rows;
    const int64_t end = panels * (thread + 1) / threads;
    for (int64_t each = panels * thread / threads; each < end; ++each) {
        const int64_t first = each * panel_rows;
        const int64_t count = std::min(panel_rows, rows - first);
        kernel.pack(static_cast<const char *>(matrix->data) + first * matrix->nb[1],
                    static_cast<int64_t>(matrix->nb[1]), count, blocks, panel);
        kernel.multiply(panel, columns, count, to + first, rows);
    }
}

}  // namespace llama_steer
