# What nearly every translation unit reads, parsed once: headers of the language and of libraries only, none of the
# project's own, so that no edit makes everything compile anew. A source file still includes all that it uses: the preset
# "fuzz" builds without these. Off unless asked for: with them GCC 12 warns of string concatenation (its bug 105329).
option(FRAZIL_PCH "Precompile the headers of the standard library, fmt and nlohmann/json" OFF)

set(FRAZIL_COMMON_HEADERS
    <fmt/format.h> <nlohmann/json.hpp>
    <algorithm> <array> <charconv> <chrono> <cmath> <complex> <cstdint> <cstdio> <cstdlib> <cstring> <filesystem> <fstream> <functional>
    <iostream> <limits> <map> <memory> <mutex> <numbers> <numeric> <optional> <random> <set> <span> <string> <string_view> <thread> <tuple>
    <utility> <vector>)

# frazil_precompile(TARGET HEADERS_TARGET) lets a target read what HEADERS_TARGET precompiled (their flags are the same).
function(frazil_precompile TARGET FROM)
  if(FRAZIL_PCH)
    target_precompile_headers(${TARGET} REUSE_FROM ${FROM})
  endif()
endfunction()

if(FRAZIL_PCH)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cpp CONTENT "int main() { return 0; }\n")
  add_library(frazil_headers OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(frazil_headers PRIVATE frazil_warnings fmt::fmt nlohmann_json::nlohmann_json)
  target_precompile_headers(frazil_headers PRIVATE ${FRAZIL_COMMON_HEADERS})
  if(FRAZIL_TESTS)
    # A program, because programs are compiled with -fPIE and libraries with -fPIC.
    add_executable(frazil_test_headers ${CMAKE_BINARY_DIR}/precompiled.cpp)
    target_link_libraries(frazil_test_headers PRIVATE frazil_warnings fmt::fmt nlohmann_json::nlohmann_json GTest::gtest)
    target_precompile_headers(frazil_test_headers PRIVATE <gtest/gtest.h> ${FRAZIL_COMMON_HEADERS})
  endif()
endif()
