# Finds the BLAS/LAPACK that LLAMA_STEER_BLAS asks for. Sets LLAMA_STEER_BLAS_FOUND (openblas, mkl, accelerate or
# builtin) and LLAMA_STEER_BLAS_LIBRARIES. A candidate counts only if a program that calls it links.
#
# auto: Accelerate on Apple systems; MKL if its environment is loaded (MKLROOT); OpenBLAS; MKL elsewhere; builtin.

include(CheckCXXSourceCompiles)

set(LLAMA_STEER_BLAS "auto" CACHE STRING "BLAS/LAPACK for the ridge solver: auto, openblas, mkl, accelerate or builtin")
set_property(CACHE LLAMA_STEER_BLAS PROPERTY STRINGS auto openblas mkl accelerate builtin)

# Does a program with the LAPACK and the library's own symbol link?
function(llama_steer_blas_links out own_symbol)
    set(CMAKE_REQUIRED_LIBRARIES ${ARGN})
    set(CMAKE_REQUIRED_QUIET ON)
    string(MAKE_C_IDENTIFIER "LLAMA_STEER_LINKS_${own_symbol}_${ARGN}" check)
    check_cxx_source_compiles("
        extern \"C\" { void dsyrk_(); void dpotrf_(); void dormtr_(); void spotrf_(); void ${own_symbol}(); }
        int main(int argc, char **) { if (argc > 9) { dsyrk_(); dpotrf_(); dormtr_(); spotrf_(); ${own_symbol}(); } }" ${check})
    set(${out} "${${check}}" PARENT_SCOPE)
endfunction()

macro(llama_steer_accept name)
    set(LLAMA_STEER_BLAS_FOUND "${name}")
    set(LLAMA_STEER_BLAS_LIBRARIES ${ARGN})
endmacro()

macro(llama_steer_try_openblas)
    find_library(LLAMA_STEER_OPENBLAS NAMES openblas libopenblas openblasp
        HINTS "$ENV{OPENBLAS_HOME}/lib" "$ENV{OpenBLAS_HOME}/lib" /opt/homebrew/opt/openblas/lib /usr/local/opt/openblas/lib
        PATH_SUFFIXES openblas openblas-pthread)
    if(LLAMA_STEER_OPENBLAS)
        llama_steer_blas_links(links openblas_get_config "${LLAMA_STEER_OPENBLAS}")
        if(links)
            llama_steer_accept(openblas "${LLAMA_STEER_OPENBLAS}")
        else()
            # Some distributions build OpenBLAS without LAPACK.
            find_library(LLAMA_STEER_LAPACK NAMES lapack)
            if(LLAMA_STEER_LAPACK)
                llama_steer_blas_links(links openblas_get_config "${LLAMA_STEER_LAPACK}" "${LLAMA_STEER_OPENBLAS}")
                if(links)
                    llama_steer_accept(openblas "${LLAMA_STEER_LAPACK}" "${LLAMA_STEER_OPENBLAS}")
                endif()
            endif()
        endif()
    endif()
endmacro()

macro(llama_steer_try_mkl)
    find_library(LLAMA_STEER_MKL NAMES mkl_rt mkl_rt.2
        HINTS "$ENV{MKLROOT}/lib" "$ENV{MKLROOT}/lib/intel64" /opt/intel/oneapi/mkl/latest/lib)
    if(LLAMA_STEER_MKL)
        llama_steer_blas_links(links MKL_Get_Version_String "${LLAMA_STEER_MKL}")
        if(links)
            llama_steer_accept(mkl "${LLAMA_STEER_MKL}")
        endif()
    endif()
endmacro()

macro(llama_steer_try_accelerate)
    if(APPLE)
        find_library(LLAMA_STEER_ACCELERATE Accelerate)
        if(LLAMA_STEER_ACCELERATE)
            llama_steer_accept(accelerate "${LLAMA_STEER_ACCELERATE}")
        endif()
    endif()
endmacro()

set(LLAMA_STEER_BLAS_FOUND "")
set(LLAMA_STEER_BLAS_LIBRARIES "")
set(help_openblas "Install it: apt install libopenblas-dev (Debian, Ubuntu), dnf install openblas-devel (Fedora), brew install openblas (macOS).")
set(help_mkl "Install it: apt install libmkl-dev (Debian non-free, Ubuntu) or Intel oneAPI MKL, and load its environment (MKLROOT).")
set(help_accelerate "It comes with macOS and its command line tools (xcode-select --install) and exists nowhere else; brew install openblas is the other choice.")

if(LLAMA_STEER_BLAS STREQUAL "auto")
    set(order openblas mkl)
    if(APPLE)
        set(order accelerate openblas mkl)
    elseif(DEFINED ENV{MKLROOT})
        set(order mkl openblas)
    endif()
elseif(LLAMA_STEER_BLAS MATCHES "^(openblas|mkl|accelerate)$")
    set(order ${LLAMA_STEER_BLAS})
elseif(LLAMA_STEER_BLAS STREQUAL "builtin")
    set(order)
else()
    message(FATAL_ERROR "LLAMA_STEER_BLAS is '${LLAMA_STEER_BLAS}': it must be auto, openblas, mkl, accelerate or builtin")
endif()

foreach(candidate IN LISTS order)
    if(NOT LLAMA_STEER_BLAS_FOUND)
        cmake_language(CALL llama_steer_try_${candidate})
    endif()
endforeach()

if(NOT LLAMA_STEER_BLAS_FOUND)
    if(LLAMA_STEER_BLAS MATCHES "^(openblas|mkl|accelerate)$")
        message(FATAL_ERROR "LLAMA_STEER_BLAS=${LLAMA_STEER_BLAS}, but no such library links here. ${help_${LLAMA_STEER_BLAS}}")
    endif()
    set(LLAMA_STEER_BLAS_FOUND builtin)
    if(LLAMA_STEER_BLAS STREQUAL "auto")
        message(STATUS "llama-steer: no BLAS found, the built-in kernels serve. ${help_openblas}")
    endif()
endif()
message(STATUS "llama-steer: BLAS is ${LLAMA_STEER_BLAS_FOUND} ${LLAMA_STEER_BLAS_LIBRARIES}")
