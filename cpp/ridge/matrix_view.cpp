#include "matrix_view.h"

#include "base/error.h"

#include <string>

namespace llama_steer::ridge {

void check_view(const matrix_view & view, const char * name) {
    const std::string who = name;
    if (view.rows == 0) throw error(error_code::INVALID_ARGUMENT, who + " has no rows");
    if (view.cols == 0) throw error(error_code::INVALID_ARGUMENT, who + " has no columns");
    if (!view.data) throw error(error_code::INVALID_ARGUMENT, who + " has no data");
    if (view.row_stride < view.cols) {
        throw error(error_code::INVALID_ARGUMENT, who + ": the row stride " + std::to_string(view.row_stride) +
                                                      " is shorter than a row of " + std::to_string(view.cols));
    }
}

}  // namespace llama_steer::ridge
