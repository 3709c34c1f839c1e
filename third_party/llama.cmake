# Adds llama.cpp (targets `llama`, `ggml`, `ggml-base`) as the core needs it, with the seam compiled in.
#
# Include from cpp/CMakeLists.txt only. Reads LLAMA_CPP_DIR (cache or environment; default third_party/llama.cpp).

if(NOT LLAMA_CPP_DIR AND DEFINED ENV{LLAMA_CPP_DIR})
    file(TO_CMAKE_PATH "$ENV{LLAMA_CPP_DIR}" LLAMA_CPP_DIR)
endif()
if(NOT LLAMA_CPP_DIR)
    set(LLAMA_CPP_DIR "${CMAKE_CURRENT_LIST_DIR}/llama.cpp")
endif()
get_filename_component(LLAMA_CPP_DIR "${LLAMA_CPP_DIR}" ABSOLUTE)
if(NOT EXISTS "${LLAMA_CPP_DIR}/src/llama-model.cpp")
    message(FATAL_ERROR "llama.cpp is not in ${LLAMA_CPP_DIR}. Run: node third_party/fetch.mjs")
endif()

# ggml keeps its own thread pool: no libgomp to depend on, and none shared with another addon in the process.
set(GGML_OPENMP OFF CACHE BOOL "Compute with OpenMP threads instead of ggml's own")
# The ridge solver has its own BLAS front; inside a graph BLAS would only change results with the batch size.
set(GGML_BLAS OFF CACHE BOOL "" FORCE)
set(GGML_CUDA "${LLAMA_STEER_CUDA}" CACHE BOOL "" FORCE)
set(GGML_METAL "${LLAMA_STEER_METAL}" CACHE BOOL "" FORCE)
set(GGML_METAL_EMBED_LIBRARY ON CACHE BOOL "")
set(GGML_VULKAN "${LLAMA_STEER_VULKAN}" CACHE BOOL "" FORCE)
set(GGML_NATIVE ON CACHE BOOL "Compile for this machine's CPU")
foreach(part COMMON TESTS TOOLS EXAMPLES SERVER APP MTMD)
    set(LLAMA_BUILD_${part} OFF CACHE BOOL "" FORCE)
endforeach()
set(LLAMA_OPENSSL OFF CACHE BOOL "" FORCE)
set(LLAMA_ALL_WARNINGS OFF CACHE BOOL "" FORCE)
set(GGML_ALL_WARNINGS OFF CACHE BOOL "" FORCE)

# Upstream asks git what commit this is and would be told ours, changing with each of our commits.
file(READ "${CMAKE_CURRENT_LIST_DIR}/llama.lock.json" llama_lock)
string(JSON llama_commit GET "${llama_lock}" commit)
string(SUBSTRING "${llama_commit}" 0 9 LLAMA_BUILD_COMMIT)
set(LLAMA_BUILD_NUMBER 0)
set(GIT_EXE OFF CACHE STRING "" FORCE)

# npm tarballs drop symbolic links, so shared libraries are built under the one name they are linked by.
set(CMAKE_PLATFORM_NO_VERSIONED_SONAME ON)

add_subdirectory("${LLAMA_CPP_DIR}" "${CMAKE_BINARY_DIR}/llama.cpp" EXCLUDE_FROM_ALL)

if(BUILD_SHARED_LIBS)
    # Another addon's libggml.so in the same process would otherwise be taken for ours, by its name.
    foreach(library llama ggml ggml-base)
        set_target_properties(${library} PROPERTIES OUTPUT_NAME "llama-steer-${library}")
    endforeach()
endif()

# The seam (DESIGN: "one function"): upstream's definition of build_graph takes another name, and upstream_hook.cpp
# defines the one that is called.
set(llama_steer_hook "${CMAKE_CURRENT_LIST_DIR}/../cpp/graph/upstream_hook.cpp")
if(EXISTS "${llama_steer_hook}")
    get_filename_component(llama_steer_hook "${llama_steer_hook}" ABSOLUTE)
    get_filename_component(llama_steer_include "${CMAKE_CURRENT_LIST_DIR}/../cpp" ABSOLUTE)
    set_source_files_properties("${LLAMA_CPP_DIR}/src/llama-model.cpp" TARGET_DIRECTORY llama
        PROPERTIES COMPILE_DEFINITIONS build_graph=build_graph_upstream)
    target_sources(llama PRIVATE "${llama_steer_hook}")
    set_source_files_properties("${llama_steer_hook}" TARGET_DIRECTORY llama
        PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    target_include_directories(llama PRIVATE "${llama_steer_include}")
endif()
