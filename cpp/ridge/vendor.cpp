#include "vendor.h"

#include "builtin/kernel.h"
#include "fortran.h"
#include "parallel.h"

#include <sstream>

namespace llama_steer::ridge::vendor {

#if defined(LLAMA_STEER_BLAS_OPENBLAS)

std::string name() {
    // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH Zen MAX_THREADS=64"
    std::istringstream words(detail());
    std::string product, version;
    words >> product >> version;
    return version.empty() ? "openblas" : "openblas " + version;
}

std::string detail() { return openblas_get_config(); }
std::string notice() { return ""; }
std::size_t default_threads() { return static_cast<std::size_t>(openblas_get_num_threads()); }
void apply_threads(std::size_t count) { openblas_set_num_threads(static_cast<int>(count)); }

#elif defined(LLAMA_STEER_BLAS_MKL)

std::string name() {
    // "Intel(R) oneAPI Math Kernel Library Version 2024.0-Product Build 20231011 for Intel(R) 64 architecture ..."
    const std::string text = detail(), mark = "Version ";
    const std::size_t at = text.find(mark);
    if (at == std::string::npos) return "mkl";
    const std::size_t from = at + mark.size();
    return "mkl " + text.substr(from, text.find_first_not_of("0123456789.", from) - from);
}

std::string detail() {
    char buffer[256] = {};
    MKL_Get_Version_String(buffer, static_cast<int>(sizeof buffer) - 1);
    return buffer;
}

std::string notice() { return ""; }
std::size_t default_threads() { return static_cast<std::size_t>(MKL_Get_Max_Threads()); }
void apply_threads(std::size_t count) { MKL_Set_Num_Threads(static_cast<int>(count)); }

#elif defined(LLAMA_STEER_BLAS_ACCELERATE)

std::string name() { return "accelerate"; }
std::string detail() { return "accelerate"; }
std::string notice() { return ""; }
std::size_t default_threads() { return 0; }
void apply_threads(std::size_t) {}

#else

std::string name() { return "builtin"; }
std::string detail() { return std::string("builtin ") + builtin::best_kernel().name; }

std::string notice() {
    return "llama-steer was built without a BLAS library: ridge fits use the built-in kernels, which give the same "
           "results "
           "but take longer on wide models. To use one, install OpenBLAS (Debian and Ubuntu: libopenblas-dev, Fedora: "
           "openblas-devel, Homebrew: openblas) and build from source.";
}

std::size_t default_threads() { return hardware_threads(); }
void apply_threads(std::size_t) {}

#endif

}  // namespace llama_steer::ridge::vendor
