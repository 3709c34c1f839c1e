#include "control.h"

#include "base/error.h"

namespace llama_steer::ridge {

void stop_if(const abort_check & aborted) {
    if (aborted && aborted()) throw error(error_code::ABORTED, "the computation was aborted");
}

}  // namespace llama_steer::ridge
